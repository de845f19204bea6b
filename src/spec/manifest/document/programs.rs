//! Secrets that programs tell: where the settings do not allow that, a manifest with one cannot be used.

use crate::diagnostic::{codes, quoted};
use crate::spec::job::DeclaredJob;
use crate::spec::manifest::document::Document;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::node::Node;
use crate::spec::secret::SecretSource;

impl Document {
    /// Complains about each job of this file that has such a secret, by itself or by defaults. Not a part of
    /// [`Self::lower`]: what is stored was checked when it was declared, and is looked at again when it starts.
    pub fn refuse_programs(&mut self, jobs: &[DeclaredJob]) {
        let mut out = Vec::new();
        for job in jobs {
            let name = job.spec.name.as_str();
            let asks = |(_, source): &(&String, &SecretSource)| source.is_program();
            let Some((secret, _)) = job.spec.secrets.iter().find(asks) else { continue };
            let declares =
                |root: &&Node| root.get("jobs").is_some_and(|jobs| jobs.get(name).is_some());
            let Some(root) = self.parsed.documents.iter().find(declares) else { continue };
            let site = Site::root(&self.source, root).child("jobs").child(name).of_job(name);
            let message =
                format!("{} is told by a program, which the settings do not allow", quoted(secret));
            let help = "`allow_exec_secrets = true` in `cronwright.toml` allows it: such a program runs \
                        with the rights of the daemon";
            let place = site.child("secrets").key(secret);
            out.push(place.diagnostic(codes::BAD_SECRET, message).help(help));
        }
        self.add(out);
    }
}
