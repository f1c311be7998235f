//! Who may do what: users, groups, roles, tokens, access control, realms.

mod acl;
mod domain;
mod group;
mod role;
mod token;
mod user;

pub use acl::{Acl, AclSubject, Permissions};
pub use domain::Domain;
pub use group::Group;
pub use role::Role;
pub use token::{NewToken, Token, TokenOptions};
pub use user::{User, UserOptions};

use crate::Error;

/// `None` for what does not exist.
fn found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
