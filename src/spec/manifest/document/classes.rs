//! The calls of a manifest, against the classes that there are.

use crate::spec::manifest::document::Document;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::lower::{class, params};
use crate::spec::manifest::node::{Node, de};
use crate::spec::params::Params;
use crate::spec::task::classes::Classes;
use crate::time::Zone;

/// The parameters of a job; what is wrong with them is said elsewhere.
fn params_of(job: &Node, site: &Site<'_>) -> Params {
    let raw = job.get("params").and_then(|node| de::decode(node).ok()).unwrap_or_default();
    params::read(raw, &Zone::utc(), site, &mut Vec::new())
}

impl Document {
    /// Whether every class that a job calls is one of `classes`, and takes the arguments. Complaints are
    /// added. Not a part of [`Self::lower`]: what is stored was checked when it was declared.
    pub fn check_classes(&mut self, classes: &Classes) {
        let mut out = Vec::new();
        for root in &self.parsed.documents {
            let site = Site::root(&self.source, root).child("jobs");
            for entry in root.get("jobs").map(Node::entries).unwrap_or_default() {
                let raw = entry.node.get("class").and_then(|node| de::decode(node).ok());
                if let Some(raw) = raw {
                    let job = site.child(&entry.key).of_job(&entry.key);
                    let params = params_of(&entry.node, &job);
                    class::check(&raw, &params, classes, &job.child("class"), &mut out);
                    if class::is_compiled(&raw, classes) {
                        class::refuse_of_process(&entry.node, &job, &mut out);
                    }
                }
            }
        }
        self.add(out);
    }
}
