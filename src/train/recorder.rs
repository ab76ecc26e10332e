//! Work that is done many times on inputs of one shape.

use super::shim::device::Recording;
use tch::Tensor;

/// Times that work is done before it is recorded: its first times allocate, and choose algorithms.
const WARM_UP: u32 = 4;

/// Does work eagerly, or records it and replays the recording.
pub struct Recorder<R> {
    /// Times until it is recorded; nothing: never.
    left: Option<u32>,
    ready: Option<Ready<R>>,
}

struct Ready<R> {
    recording: Recording,
    inputs: [Tensor; 2],
    result: R,
}

impl<R: Clone> Recorder<R> {
    /// `records`: whether work is to be recorded, which needs a GPU.
    pub fn new(records: bool) -> Self {
        Self { left: records.then_some(WARM_UP), ready: None }
    }

    /// The result of `work` on these inputs. A recorded one is overwritten the next time.
    pub fn run(&mut self, inputs: [&Tensor; 2], work: impl FnOnce([&Tensor; 2]) -> R) -> R {
        if let Some(ready) = &mut self.ready
            && ready.inputs.iter().zip(inputs).all(|(own, given)| own.size() == given.size())
        {
            let _guard = tch::no_grad_guard();
            for (own, given) in ready.inputs.iter_mut().zip(inputs) {
                own.copy_(given);
            }
            ready.recording.replay();
            return ready.result.clone();
        }
        match &mut self.left {
            Some(0) if self.ready.is_none() => {
                let inputs = inputs.map(Tensor::copy);
                let (recording, result) = Recording::of(|| work([&inputs[0], &inputs[1]]));
                recording.replay();
                self.ready = Some(Ready { recording, inputs, result: result.clone() });
                result
            }
            Some(left) => {
                *left = left.saturating_sub(1);
                work(inputs)
            }
            None => work(inputs),
        }
    }
}
