//! Queue of the runs of a sweep: which waiting run may begin on which device now.

use super::policy::{FailureScope, Retry, failure_scope};
use super::{Options, Shutdown, locked, reserved_memory};
use fathom_record::State;
use fathom_spec::Run;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Number of different runs that must fail in a row on a device before it is no longer used.
const STREAK: usize = 3;

/// Polling interval of the stop flag.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A run in the queue, with what is known of earlier attempts.
#[derive(Clone)]
pub(super) struct QueuedRun<'a> {
    pub run: &'a Run,
    /// Number of attempts that failed.
    pub failures: u32,
    /// Number of attempts at which another process held the run.
    pub held: u32,
    /// Whether the run must have its device to itself.
    alone: bool,
    /// Index of a device on which the run should not be tried again.
    avoid: Option<usize>,
    /// Earliest time of the next attempt.
    due: Option<Instant>,
}

impl<'a> QueuedRun<'a> {
    fn new(run: &'a Run) -> Self {
        Self { run, failures: 0, held: 0, alone: false, avoid: None, due: None }
    }
}

/// How an attempt at a run ended.
pub(super) enum AttemptEnd<'a> {
    /// The run is in this state, with this message; there may be a retry.
    With(State, &'a str, Option<Retry>),
    /// Another process holds the run; it is tried again after this many seconds, if at all.
    Held(Option<u32>),
}

/// A run that trains now.
struct Active {
    id: String,
    /// Bytes that are set aside for the run.
    memory: u64,
    alone: bool,
    /// Whether another run was on the device at the same time.
    accompanied: bool,
}

struct Device<'a> {
    /// Name such as `cuda:0`.
    name: &'a str,
    active: Vec<Active>,
    /// Ids of different runs that failed here in a row, as on a broken device.
    streak: Vec<String>,
    /// Whether the device is no longer used.
    is_out: bool,
}

struct Inner<'a> {
    waiting: VecDeque<QueuedRun<'a>>,
    devices: Vec<Device<'a>>,
    is_halted: bool,
}

/// The queue and the devices, shared by all slots.
pub(super) struct Scheduler<'a> {
    inner: Mutex<Inner<'a>>,
    changed: Condvar,
    options: &'a Options,
}

impl<'a> Scheduler<'a> {
    pub fn new(runs: impl IntoIterator<Item = &'a Run>, options: &'a Options) -> Self {
        let device = |name| Device { name, active: Vec::new(), streak: Vec::new(), is_out: false };
        let devices = options.devices.iter().map(|name| device(name.as_str())).collect();
        let waiting = runs.into_iter().map(QueuedRun::new).collect();
        let inner = Mutex::new(Inner { waiting, devices, is_halted: false });
        Self { inner, changed: Condvar::new(), options }
    }

    /// Waits for a run that may begin on the device with this index; `None` if there will be none.
    pub fn take(&self, device: usize, shutdown: &Shutdown) -> Option<QueuedRun<'a>> {
        let mut inner = locked(&self.inner);
        loop {
            if inner.is_halted || inner.devices[device].is_out || shutdown.is_stopping() {
                return None;
            }
            if let Some(place) = inner.choose(device, self.options.memory) {
                return inner.start(place, device);
            }
            // A run that trains now may come back for a retry.
            if inner.waiting.is_empty() && inner.devices.iter().all(|one| one.active.is_empty()) {
                return None;
            }
            let now = Instant::now();
            let dues = inner.waiting.iter().filter_map(|task| task.due);
            let next = dues.filter(|due| *due > now).map(|due| due - now).min();
            let pause = next.map_or(POLL_INTERVAL, |next| next.min(POLL_INTERVAL));
            inner = self
                .changed
                .wait_timeout(inner, pause)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
    }

    /// Records the end of an attempt and returns remarks on its consequences for other runs.
    pub fn done(&self, mut task: QueuedRun<'a>, device: usize, end: AttemptEnd) -> Vec<String> {
        let mut inner = locked(&self.inner);
        let later = |seconds| Some(Instant::now() + self.options.pause_unit * seconds);
        let accompanied = inner.leave(device, &task.run.id);
        let mut remarks = Vec::new();
        match end {
            AttemptEnd::Held(again) => {
                task.held += 1;
                if let Some(seconds) = again {
                    task.due = later(seconds);
                    inner.waiting.push_back(task);
                }
            }
            AttemptEnd::With(state, message, retry) => {
                // The failure of a run that shared its device may have been caused by the other.
                let is_evidence = !accompanied || state == State::LostDevice;
                let counts = retry.is_none() || (is_evidence && inner.has_others(device));
                remarks.extend(inner.record(device, task.run, state, message, counts));
                if let Some(retry) = retry {
                    task.failures += 1;
                    task.alone = retry.alone;
                    task.avoid = retry.elsewhere.then_some(device);
                    task.due = later(retry.pause);
                    inner.waiting.push_front(task);
                }
            }
        }
        drop(inner);
        self.changed.notify_all();
        remarks
    }

    /// Lets no further run begin.
    pub fn halt(&self) {
        locked(&self.inner).is_halted = true;
        self.changed.notify_all();
    }

    /// The number of waiting runs if no device is left for them.
    pub fn stranded(&self) -> Option<usize> {
        let inner = locked(&self.inner);
        let is_stranded = inner.devices.iter().all(|device| device.is_out);
        (is_stranded && !inner.waiting.is_empty()).then_some(inner.waiting.len())
    }
}

impl<'a> Inner<'a> {
    /// Index of the first run in the queue that is due and may use this device, if it may begin now.
    /// A run that must wait for memory keeps its turn, so that none is passed over for ever.
    fn choose(&self, device: usize, memory: Option<u64>) -> Option<usize> {
        let now = Instant::now();
        let here = &self.devices[device];
        let has_others = self.has_others(device);
        let may_wait_here = |task: &QueuedRun| {
            task.due.is_none_or(|due| due <= now) && (task.avoid != Some(device) || !has_others)
        };
        let place = self.waiting.iter().position(may_wait_here)?;
        let task = &self.waiting[place];
        let used: u64 = here.active.iter().map(|active| active.memory).sum();
        let fits = memory.is_none_or(|most| used.saturating_add(reserved_memory(task.run)) <= most);
        let is_alone = task.alone || here.active.iter().any(|active| active.alone);
        (here.active.is_empty() || (fits && !is_alone)).then_some(place)
    }

    /// Whether another device is in use.
    fn has_others(&self, device: usize) -> bool {
        self.devices.iter().enumerate().any(|(place, other)| place != device && !other.is_out)
    }

    /// Moves a waiting run to the device.
    fn start(&mut self, place: usize, device: usize) -> Option<QueuedRun<'a>> {
        let task = self.waiting.remove(place)?;
        let here = &mut self.devices[device];
        here.active.iter_mut().for_each(|other| other.accompanied = true);
        here.active.push(Active {
            id: task.run.id.clone(),
            memory: reserved_memory(task.run),
            alone: task.alone,
            accompanied: !here.active.is_empty(),
        });
        Some(task)
    }

    /// Removes a run from its device; returns whether another one was there at the same time.
    fn leave(&mut self, device: usize, id: &str) -> bool {
        let active = &mut self.devices[device].active;
        let place = active.iter().position(|active| active.id == id);
        place.is_some_and(|place| active.remove(place).accompanied)
    }

    /// Draws the consequences of an attempt for other runs and for the device, and returns a remark
    /// if there are any. An attempt `counts` against the device if it was the last one of its run; if
    /// there are other devices, also if it had the device to itself.
    fn record(
        &mut self,
        device: usize,
        run: &Run,
        state: State,
        message: &str,
        counts: bool,
    ) -> Option<String> {
        match failure_scope(state) {
            FailureScope::ThisRun => None,
            FailureScope::NoFailure => {
                self.devices[device].streak.clear();
                None
            }
            FailureScope::AllRuns => {
                self.is_halted = true;
                let left = self.waiting.len();
                Some(format!("no further run begins ({left} left): {}: {message}", run.id))
            }
            FailureScope::SameData => {
                let before = self.waiting.len();
                self.waiting.retain(|task| task.run.settings.data != run.settings.data);
                let gone = before - self.waiting.len();
                (gone > 0).then(|| format!("{gone} runs on the same data not begun: {message}"))
            }
            FailureScope::Device => {
                let here = &mut self.devices[device];
                if counts && !here.streak.contains(&run.id) {
                    here.streak.push(run.id.clone());
                }
                if here.streak.len() < STREAK || here.is_out {
                    return None;
                }
                here.is_out = true;
                let (name, runs) = (here.name, here.streak.join(", "));
                Some(format!(
                    "{name} is no longer used: {STREAK} different runs in a row failed on it \
                     ({runs}; the last one {state}: {message})"
                ))
            }
        }
    }
}
