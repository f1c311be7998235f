//! Which rows a list shows.

use clap::Args;

use crate::wire::{Door, InstanceQuery, InstanceState, OperationKind, OperationState};

#[derive(Debug, Args)]
pub struct InstanceFilterArgs {
    /// Only those with this name
    #[arg(long)]
    name: Option<String>,
    /// Only those in this state, for example running
    #[arg(long, value_name = "STATE")]
    in_state: Option<InstanceState>,
    /// Only those on this host, as last seen
    #[arg(long)]
    host: Option<String>,
    /// Only those of this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only those made from this image
    #[arg(long, value_name = "NAME|ID")]
    image: Option<String>,
    /// Only those of this flavour
    #[arg(long, value_name = "NAME|ID")]
    flavour: Option<String>,
    /// Only those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only those with this label
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Option<String>,
    /// Only those that this door manages, for example native
    #[arg(long, value_name = "DOOR")]
    managed_by: Option<Door>,
    /// Only those of this project
    #[arg(long)]
    project: Option<String>,
}

impl From<InstanceFilterArgs> for InstanceQuery {
    fn from(args: InstanceFilterArgs) -> Self {
        Self {
            name: args.name,
            state: args.in_state,
            host: args.host,
            provider: args.provider,
            image: args.image,
            flavour: args.flavour,
            tag: args.tag,
            label: args.label,
            managed_by: args.managed_by,
            project: args.project,
            after: None,
            limit: None,
        }
    }
}

#[derive(Debug, Args)]
pub struct OperationFilterArgs {
    /// Only those in this state, for example stuck
    #[arg(long, value_name = "STATE")]
    pub(super) in_state: Option<OperationState>,
    /// Only those that do this, for example create
    #[arg(long)]
    pub(super) kind: Option<OperationKind>,
    /// Only those of this project
    #[arg(long)]
    pub(super) project: Option<String>,
}
