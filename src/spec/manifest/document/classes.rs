//! The calls of a manifest, against the classes that there are.

use crate::spec::manifest::document::Document;
use crate::spec::manifest::lower::class;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::node::{Node, de};
use crate::spec::task::classes::Classes;

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
                    let site = site.child(&entry.key).of_job(&entry.key).child("class");
                    class::check(&raw, classes, &site, &mut out);
                }
            }
        }
        self.add(out);
    }
}
