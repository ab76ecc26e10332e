//! Numbers of blocks per stage, from `network.depth` or from `network.blocks`.

use super::InvalidKey;

/// Largest value of `network.depth`.
pub(super) const MOST_LAYERS: usize = 100_000;

/// Numbers of blocks per stage: those of `network.blocks`, or those that `of_depth` computes from
/// `network.depth`.
///
/// # Errors
/// When both keys or none are given, when the list is not one to six positive numbers, or when the
/// depth is not in the family.
pub(super) fn stages(
    depth: Option<usize>,
    blocks: Option<&[usize]>,
    of_depth: impl FnOnce(usize) -> Result<Vec<usize>, InvalidKey>,
) -> Result<Vec<usize>, InvalidKey> {
    let invalid = |message: &str| Err(InvalidKey::new("network.blocks", message));
    match (depth, blocks) {
        (Some(_), Some(_)) => invalid("give either depth or blocks, not both"),
        (Some(depth), None) => of_depth(depth),
        (None, Some(blocks))
            if !(1..=6).contains(&blocks.len())
                || blocks.iter().any(|count| !(1..=MOST_LAYERS).contains(count)) =>
        {
            invalid("expected one to six numbers, each from 1 to 100000")
        }
        (None, Some(blocks)) => Ok(blocks.to_vec()),
        (None, None) => {
            Err(InvalidKey::new("network.depth", "must be given, or network.blocks instead"))
        }
    }
}

/// The n of a depth of `period`·n + `rest` layers.
///
/// # Errors
/// When there is no such n above 0; the message names the nearest depths.
pub(super) fn blocks_per_stage(
    depth: usize,
    period: usize,
    rest: usize,
) -> Result<usize, InvalidKey> {
    let n = depth.saturating_sub(rest) / period;
    if n > 0 && depth == period * n + rest {
        return Ok(n);
    }
    let below = period * n.max(1) + rest;
    let above = below + period;
    let nearest = match above > MOST_LAYERS {
        true => format!("the nearest is {below}"),
        false => format!("the nearest are {below} and {above}"),
    };
    let message = format!("{depth} is not {period}n+{rest}; {nearest}");
    Err(InvalidKey::new("network.depth", message))
}
