//! Where a value stands while it is lowered, so that a complaint about it has its place.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Place, SourceText};
use crate::spec::manifest::node::{Node, Span};

/// A value of a manifest, or of settings, and how to get there.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    source: &'a Arc<SourceText>,
    node: &'a Node,
    /// Where to point: the value, or its key when the value has no text or many lines.
    span: Span,
    pointer: String,
    job: Option<&'a str>,
}

impl<'a> Site<'a> {
    /// The root of a document.
    pub fn root(source: &'a Arc<SourceText>, node: &'a Node) -> Self {
        Self { source, node, span: node.span, pointer: String::new(), job: None }
    }

    /// The value under a key; the map itself when it has no such key.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        let Some(entry) = self.node.entry(key) else { return self.clone() };
        let structure = !entry.node.entries().is_empty() || entry.node.span == Span::default();
        let empty = entry.node.span.start == entry.node.span.end;
        let span = if structure || empty { entry.key_span } else { entry.node.span };
        let pointer = format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1"));
        Self { source: self.source, node: &entry.node, span, pointer, job: self.job }
    }

    /// An item of a list; the list itself when it has no such item.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        let Some(node) = self.node.items().get(index) else { return self.clone() };
        let pointer = format!("{}/{index}", self.pointer);
        Self { source: self.source, node, span: node.span, pointer, job: self.job }
    }

    /// The same, said to be of this job.
    #[must_use]
    pub fn of_job(mut self, name: &'a str) -> Self {
        self.job = Some(name);
        self
    }

    /// The key under which something stands here, instead of its value.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut site = self.child(key);
        if let Some(entry) = self.node.entry(key) {
            site.span = entry.key_span;
        }
        site
    }

    /// A part of this text value.
    #[must_use]
    pub fn part(mut self, inner: Range<usize>) -> Self {
        self.span = self.node.part(&self.source.text, inner);
        self
    }

    /// The value.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// The text that it stands in.
    pub fn source(&self) -> &'a Arc<SourceText> {
        self.source
    }

    /// The place to point at.
    pub fn place(&self) -> Place {
        Place::new(self.source, self.span.start, self.span.end)
    }

    /// A complaint about what stands here.
    pub fn diagnostic(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(code, message).at(self.place());
        diagnostic.job = self.job.map(str::to_owned);
        diagnostic.pointer = Some(self.pointer.clone());
        diagnostic
    }
}
