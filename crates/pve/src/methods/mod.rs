//! Every method of the API, as the schemas of the releases 8.4 and 9.2 have
//! it: to look up, to list, to check a call before it is sent, and to call.
//!
//! ```no_run
//! use pve::{Method, Params, Release, methods};
//! # async fn example(client: pve::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let zones = methods::find(Method::GET, "/cluster/sdn/zones").ok_or("no such method")?;
//! let reply = client.call(zones, [], ()).await?;
//!
//! let config = methods::find(Method::PUT, "/nodes/{node}/qemu/{vmid}/config").ok_or("?")?;
//! let change = Params::new().set("core", 2);
//! let faults = config.check(Release::new(9, 2), &change);
//! assert_eq!(faults[0].to_string(), "'core' is not a parameter, did you mean 'cores'?");
//! # let _ = reply;
//! # Ok(())
//! # }
//! ```
//!
//! `table.json` is made from the schemas by `cargo xtask pve-methods`. Releases
//! before 8.4 are judged by the table of 8.4, which knows more than they do.

mod call;
mod check;
mod table;

use crate::Release;
pub use call::IntoPathValues;
pub use check::Fault;
pub use table::{ApiMethod, Parameter, Signature};

/// All methods, sorted by path and verb.
pub fn all() -> &'static [ApiMethod] {
    table::methods()
}

/// A method by its verb and its path, `/nodes/{node}/qemu/{vmid}/config`.
pub fn find(verb: http::Method, path: &str) -> Option<&'static ApiMethod> {
    all().iter().find(|method| method.verb() == verb && method.path() == path)
}

/// The method that a concrete path leads to: `/nodes/pve1/qemu/100/config`,
/// below `/api2/json`, segments percent-encoded. A volume id may be spread over
/// several segments, as Proxmox allows.
pub fn of_path(verb: &http::Method, path: &str) -> Option<&'static ApiMethod> {
    let given: Vec<&str> = path.trim_matches('/').split('/').collect();
    let fits = |method: &&ApiMethod| method.verb() == *verb && method.leads_to(&given);
    // A literal segment beats a placeholder.
    all().iter().filter(fits).max_by_key(|method| method.literal_segments())
}

/// The methods that a release has.
pub fn of_release(release: Release) -> impl Iterator<Item = &'static ApiMethod> {
    all().iter().filter(move |method| method.signature(release).is_some())
}
