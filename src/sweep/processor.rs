//! What the processor has for bf16, and which runs would gain by it.

use super::job::net_shape;
use super::layout::is_f32;
use fathom_spec::Run;

/// Units of the processor for products of numbers in bf16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bf16Units {
    /// There are none, so that bf16 is emulated.
    None,
    /// Instructions for dot products (AVX-512 BF16).
    DotProducts,
    /// Matrix units (AMX).
    Matrices,
}

/// Number of filters of the first stage from which on a net trains clearly faster in bf16 than in f32
/// with units of either kind (`results/bench/README.md`).
const WIDTH: usize = 16;

impl Bf16Units {
    /// Reads `/proc/cpuinfo`; [`Bf16Units::None`] where the system does not say.
    pub fn of_this_machine() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
    }

    fn parse(cpuinfo: &str) -> Self {
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let has = |name: &str| flags.split_whitespace().any(|flag| flag == name);
        if has("amx_bf16") {
            Self::Matrices
        } else if has("avx512_bf16") {
            Self::DotProducts
        } else {
            Self::None
        }
    }

    /// What bf16 is worth on this processor, for a person.
    pub fn describe(self) -> String {
        let pays = format!(
            "in bf16, convolutional nets of {WIDTH} or more filters train faster than in f32"
        );
        match self {
            Self::None => "none: bf16 is slower than f32".into(),
            Self::DotProducts => format!("dot products (AVX-512): {pays}"),
            Self::Matrices => format!("matrix units (AMX): {pays}"),
        }
    }

    /// Number of these runs that train in f32 and would gain by bf16.
    pub fn would_gain(self, runs: &[Run]) -> usize {
        let gains = |run: &&Run| {
            self != Self::None
                && is_f32(run)
                && run.network.has_convolutions()
                && net_shape(run).width >= WIDTH
        };
        runs.iter().filter(gains).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::runs;
    use fathom_arch::Layer;
    use fathom_spec::Precision;

    #[test]
    fn units_are_those_of_the_flags() {
        let of = |flags: &str| Bf16Units::parse(&format!("processor : 0\nflags\t\t: {flags}\n"));
        assert_eq!(of("fpu avx2 avx512f"), Bf16Units::None);
        assert_eq!(of("avx2 avx512f avx512_bf16"), Bf16Units::DotProducts);
        assert_eq!(of("avx512_bf16 amx_bf16 amx_tile"), Bf16Units::Matrices);
        assert_eq!(Bf16Units::parse(""), Bf16Units::None);
    }

    #[test]
    fn wide_nets_in_f32_gain() {
        let of_width = |width: usize| {
            let mut runs = runs();
            for layer in runs.iter_mut().flat_map(|run| &mut run.network.layers) {
                if let Layer::Conv { outputs, .. } = layer {
                    *outputs = width;
                }
            }
            runs
        };
        assert_eq!(Bf16Units::Matrices.would_gain(&of_width(WIDTH / 2)), 0);
        let mut runs = of_width(WIDTH);
        assert_eq!(Bf16Units::Matrices.would_gain(&runs), runs.len());
        assert_eq!(Bf16Units::None.would_gain(&runs), 0);
        runs[0].settings.training.precision = Precision::Bf16;
        assert_eq!(Bf16Units::DotProducts.would_gain(&runs), runs.len() - 1);
    }
}
