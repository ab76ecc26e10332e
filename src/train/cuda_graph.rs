//! CUDA graphs of work that is repeated on inputs of few sizes: for each size, the work is warmed up,
//! captured once, and replayed from then on.

use super::shim::device::{Recording, empty_cache};
use tch::Tensor;

/// Number of eager calls with inputs of a size before capture: the first calls allocate memory, and
/// cuDNN searches for algorithms, which it must not do during capture.
const WARM_UP: u64 = 3;

/// Maximum number of graphs. Each holds the memory of its intermediate results.
const MAX_GRAPHS: usize = 3;

/// Runs work on `N` inputs eagerly, or captures it as CUDA graphs and replays them.
pub struct CudaGraphs<R, const N: usize> {
    enabled: bool,
    /// Input sizes of the calls so far.
    sizes: Vec<Size<R, N>>,
}

/// The calls with inputs of one size.
struct Size<R, const N: usize> {
    inputs: [Vec<i64>; N],
    calls: u64,
    graph: Option<Graph<R, N>>,
}

struct Graph<R, const N: usize> {
    recording: Recording,
    inputs: [Tensor; N],
    result: R,
}

/// How a call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Execution {
    Eager,
    Capture,
    Replay,
}

impl<R: Clone, const N: usize> CudaGraphs<R, N> {
    /// `enabled`: whether work is captured and replayed, which needs a GPU; if not, it runs eagerly.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, sizes: Vec::new() }
    }

    /// Whether warm-up is over: a graph has been captured, or none will be.
    pub fn is_settled(&self) -> bool {
        !self.enabled || self.sizes.iter().any(|size| size.graph.is_some())
    }

    /// Runs `work` on these inputs and returns its result. The next call with inputs of this size may
    /// overwrite the result.
    pub fn run(&mut self, inputs: [&Tensor; N], work: impl FnOnce([&Tensor; N]) -> R) -> R {
        if !self.enabled {
            return work(inputs);
        }
        let index = self.index_of(inputs.map(Tensor::size));
        let execution = self.execution(index);
        self.sizes[index].calls += 1;
        match execution {
            Execution::Eager => return work(inputs),
            Execution::Capture => {
                // A graph has its own memory pool: blocks cached for eager work would stay unused.
                empty_cache();
                let inputs = inputs.map(Tensor::copy);
                let (recording, result) = Recording::of(|| work(inputs.each_ref()));
                self.sizes[index].graph = Some(Graph { recording, inputs, result });
            }
            Execution::Replay => {}
        }
        let graph = self.sizes[index].graph.as_mut().expect("captured now or before");
        if execution == Execution::Replay {
            let _guard = tch::no_grad_guard();
            for (own, given) in graph.inputs.iter_mut().zip(inputs) {
                own.copy_(given);
            }
        }
        graph.recording.replay();
        graph.result.clone()
    }

    fn index_of(&mut self, inputs: [Vec<i64>; N]) -> usize {
        let known = self.sizes.iter().position(|size| size.inputs == inputs);
        known.unwrap_or_else(|| {
            self.sizes.push(Size { inputs, calls: 0, graph: None });
            self.sizes.len() - 1
        })
    }

    /// How the next call with inputs of a size runs. With the maximum number of graphs, a size that is
    /// called more often by a quarter replaces the least frequent captured one: so the most frequent
    /// size always has a graph, and sizes of about the same frequency do not evict each other.
    fn execution(&mut self, index: usize) -> Execution {
        let calls = self.sizes[index].calls;
        if self.sizes[index].graph.is_some() {
            return Execution::Replay;
        }
        if calls < WARM_UP {
            return Execution::Eager;
        }
        let captured = self.sizes.iter_mut().filter(|size| size.graph.is_some());
        let mut captured: Vec<&mut Size<R, N>> = captured.collect();
        if captured.len() < MAX_GRAPHS {
            return Execution::Capture;
        }
        let rarest = captured.iter_mut().min_by_key(|size| size.calls);
        let Some(rarest) = rarest.filter(|rarest| 5 * rarest.calls <= 4 * calls) else {
            return Execution::Eager;
        };
        rarest.graph = None;
        Execution::Capture
    }
}
