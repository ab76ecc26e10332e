//! Networks as plain data. A [`Network`] is the single description of a net: the audit prints it, its
//! parameters are counted from it, and `fathom-train` builds libtorch modules from it. Nothing here
//! knows libtorch.
//!
//! | module | contents |
//! |---|---|
//! | `network` | the types: [`Network`], [`Layer`], [`Norm`], [`Activation`], [`Shortcut`] |
//! | `check`, `audit`, `state` | output shapes, costs per layer, names and shapes of all tensors |
//! | `weight_layers` | the layers with weights, and the normalisation and activation that follow each |
//! | `init` | initial weights, drawn from a seed and the name of each parameter |
//! | `family` | the trait [`Family`]: keys of an experiment, and how they become a [`Network`] |
//! | `keys`, `stages` | keys that several families share: normalisation, stem, depth or blocks |
//! | `block` | the one builder of plain, residual and pre-activation blocks |
//! | `residual`, `dense`, `lenet`, `mlp`, `single` | the families themselves |
//! | `registry` | all families by name, with those that a program of one's own adds |
//! | `published`, `grow` | nets by the names of their papers, and nets that deepen in training |

// A new normalisation, activation or layer must be handled everywhere before the crate is accepted.
#![deny(clippy::wildcard_enum_match_arm)]

mod audit;
mod block;
mod branch;
mod check;
mod dense;
mod family;
mod grow;
mod init;
mod keys;
mod lenet;
mod lesion;
mod mlp;
mod network;
mod published;
mod registry;
mod residual;
mod single;
mod stages;
mod state;
mod weight_layers;

pub use audit::{Audit, AuditPart, AuditRow, MachineSpeed};
pub use family::{Family, FamilyKeys, InvalidKey};
pub use grow::shallower;
pub use init::{Init, Initial, Role};
pub use keys::{BATCH_NORM, InitName, NormName, Stem, defaults};
pub use lesion::Lesion;
pub use network::{Activation, DIRAC, Dims, Layer, Network, Norm, Shortcut};
pub use published::{PUBLISHED, Published};
pub use registry::{families, family, network, register};
pub use state::{AVERAGES, COUNTER};
pub use weight_layers::WeightLayer;
