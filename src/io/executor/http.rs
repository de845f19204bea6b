//! HTTP calls: the process that makes one.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::io::http_task::{Order, VERB};
use crate::spec::task::http::HttpCall;

/// What makes HTTP calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCaller {
    /// This program.
    pub exe: PathBuf,
    /// Addresses that may be called although they are of a kind that may not.
    pub allow: Vec<IpNet>,
}

impl HttpCaller {
    /// The argument vector of the process that makes a call, and its order.
    pub fn process(&self, call: &HttpCall) -> (Vec<String>, String) {
        let order = Order { call: call.clone(), allow: self.allow.clone() };
        // A call has nothing in it that JSON could not say; an empty order is refused by the process.
        let text = serde_json::to_string(&order).unwrap_or_default();
        (vec![self.exe.to_string_lossy().into_owned(), VERB.to_owned()], text)
    }
}
