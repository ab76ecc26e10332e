//! CUDA graphs of work that is repeated on inputs of few sizes: each size is warmed up, recorded
//! once and replayed from then on.

use super::shim::device::{Recording, empty_cache};
use tch::Tensor;

/// Eager calls of a size before it is recorded: its first calls allocate memory, and cuDNN searches
/// for algorithms, which it must not do while a graph is captured.
const WARM_UP: u64 = 3;

/// Sizes whose recordings are kept. Each holds the memory of its intermediate results.
const KEPT: usize = 3;

/// Does work eagerly, or records it and replays the recording.
pub struct CudaGraphs<R> {
    records: bool,
    /// The input sizes met so far.
    sizes: Vec<Size<R>>,
}

/// Inputs of one size.
struct Size<R> {
    of: [Vec<i64>; 2],
    calls: u64,
    graph: Option<Graph<R>>,
}

struct Graph<R> {
    recording: Recording,
    inputs: [Tensor; 2],
    result: R,
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Eager,
    Record,
    Replay,
}

impl<R: Clone> CudaGraphs<R> {
    /// `records`: whether work is recorded, which needs a GPU.
    pub fn new(records: bool) -> Self {
        Self { records, sizes: Vec::new() }
    }

    /// Whether calls have come to cost what they will cost from now on: a recording is there, or
    /// none is wanted.
    pub fn is_settled(&self) -> bool {
        !self.records || self.sizes.iter().any(|size| size.graph.is_some())
    }

    /// The result of `work` on these inputs. The result of a recording is overwritten by the next
    /// call with inputs of its size.
    pub fn run(&mut self, inputs: [&Tensor; 2], work: impl FnOnce([&Tensor; 2]) -> R) -> R {
        if !self.records {
            return work(inputs);
        }
        let place = self.place_of(inputs.map(Tensor::size));
        let way = self.way(place);
        self.sizes[place].calls += 1;
        match way {
            Way::Eager => return work(inputs),
            Way::Record => {
                // The memory that a graph needs is its own: blocks that were cached for eager work
                // would lie idle beside it.
                empty_cache();
                let inputs = inputs.map(Tensor::copy);
                let (recording, result) = Recording::of(|| work([&inputs[0], &inputs[1]]));
                self.sizes[place].graph = Some(Graph { recording, inputs, result });
            }
            Way::Replay => {}
        }
        let graph = self.sizes[place].graph.as_mut().expect("recorded now or before");
        if way == Way::Replay {
            let _guard = tch::no_grad_guard();
            for (own, given) in graph.inputs.iter_mut().zip(inputs) {
                own.copy_(given);
            }
        }
        graph.recording.replay();
        graph.result.clone()
    }

    fn place_of(&mut self, of: [Vec<i64>; 2]) -> usize {
        let known = self.sizes.iter().position(|size| size.of == of);
        known.unwrap_or_else(|| {
            self.sizes.push(Size { of, calls: 0, graph: None });
            self.sizes.len() - 1
        })
    }

    /// The way of the next call of a size. Once as many sizes are recorded as are kept, a size that
    /// is called more often by a quarter takes the place of the rarest recorded one: so the most
    /// frequent size is always recorded, and sizes that are about as frequent do not take turns.
    fn way(&mut self, place: usize) -> Way {
        let calls = self.sizes[place].calls;
        if self.sizes[place].graph.is_some() {
            return Way::Replay;
        }
        if calls < WARM_UP {
            return Way::Eager;
        }
        let recorded = self.sizes.iter_mut().filter(|size| size.graph.is_some());
        let mut recorded: Vec<&mut Size<R>> = recorded.collect();
        if recorded.len() < KEPT {
            return Way::Record;
        }
        let rarest = recorded.iter_mut().min_by_key(|size| size.calls);
        let Some(rarest) = rarest.filter(|rarest| 5 * rarest.calls <= 4 * calls) else {
            return Way::Eager;
        };
        rarest.graph = None;
        Way::Record
    }
}
