//! How requests and answers are declared: one line per parameter or member.

/// A request: parameters with a method each. What has no method is set by
/// name.
macro_rules! request {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $field:ident : $kind:ident $wire:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $name($crate::Params);

        impl $name {
            /// Nothing set: all as Proxmox would do it.
            pub fn new() -> Self {
                Self::default()
            }
        }
        $crate::requests::request!(@body $name { $( $(#[$doc])* $field: $kind $wire, )* });
    };
    (
        $(#[$meta:meta])*
        $name:ident ( $( $required:ident : $ty:ty = $rwire:literal ),+ ) {
            $( $(#[$doc:meta])* $field:ident : $kind:ident $wire:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name($crate::Params);

        impl $name {
            /// With what is required; the rest as Proxmox would do it.
            pub fn new($($required: $ty),+) -> Self {
                Self($crate::Params::new()$(.set($rwire, $required))+)
            }
        }
        $crate::requests::request!(@body $name { $( $(#[$doc])* $field: $kind $wire, )* });
    };
    (@body $name:ident { $( $(#[$doc:meta])* $field:ident : $kind:ident $wire:literal, )* }) => {
        impl $name {
            $( $crate::requests::setter! { $(#[$doc])* $field $kind $wire } )*

            /// With a parameter that has no method here.
            #[must_use]
            pub fn extra(mut self, name: &str, value: impl $crate::ParamValue) -> Self {
                self.0.put(name, value);
                self
            }

            /// The parameters so far.
            pub fn params(&self) -> &$crate::Params {
                &self.0
            }
        }

        impl From<&$name> for $crate::Params {
            fn from(request: &$name) -> Self {
                request.0.clone()
            }
        }

        impl From<$name> for $crate::Params {
            fn from(request: $name) -> Self {
                request.0
            }
        }
    };
}
pub(crate) use request;

/// A method of a request that sets one parameter.
macro_rules! setter {
    ($(#[$doc:meta])* $field:ident text $wire:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: impl Into<String>) -> Self {
            self.0.put($wire, value.into());
            self
        }
    };
    // What prints itself: a property string, typed or as text.
    ($(#[$doc:meta])* $field:ident value $wire:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: impl $crate::ParamValue) -> Self {
            self.0.put($wire, value);
            self
        }
    };
    // `net0`, `net1`, …
    ($(#[$doc:meta])* $field:ident indexed $wire:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, index: u8, value: impl $crate::ParamValue) -> Self {
            self.0.put(format!(concat!($wire, "{}"), index), value);
            self
        }
    };
    ($(#[$doc:meta])* $field:ident secret $wire:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: impl Into<secrecy::SecretString>) -> Self {
            self.0.put_secret($wire, value.into());
            self
        }
    };
    // A list with commas between its items.
    ($(#[$doc:meta])* $field:ident list $wire:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, values: impl IntoIterator<Item = impl ToString>) -> Self {
            let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
            self.0.put($wire, values.join(","));
            self
        }
    };
    // A list whose items are parameters of the same name.
    ($(#[$doc:meta])* $field:ident array $wire:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, values: impl IntoIterator<Item = impl ToString>) -> Self {
            self.0.remove($wire);
            for value in values {
                self.0.push($wire, value.to_string());
            }
            self
        }
    };
    ($(#[$doc:meta])* $field:ident $kind:ident $wire:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: $crate::requests::scalar!($kind)) -> Self {
            self.0.put($wire, value);
            self
        }
    };
}
pub(crate) use setter;

macro_rules! scalar {
    (flag) => {
        bool
    };
    (uint) => {
        u64
    };
    (number) => {
        f64
    };
    (vmid) => {
        $crate::VmId
    };
}
pub(crate) use scalar;

/// An answer, or a line of one: every member is read leniently, may be absent,
/// and what has no field stays in `extra`.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $field:ident : $ty:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$doc])*
                #[serde(deserialize_with = "crate::lenient::any")]
                pub $field: $ty,
            )*
            /// Members that have no field here, newer ones for example.
            #[serde(flatten)]
            pub extra: std::collections::BTreeMap<String, serde_json::Value>,
        }

        impl $crate::lenient::Lenient for $name {
            fn read<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let found = <Option<Self> as serde::Deserialize>::deserialize(d)?;
                Ok(found.unwrap_or_default())
            }
        }
    };
}
pub(crate) use record;
