//! Runs that wait, runs that run, and the devices: what may begin where, now.

use super::policy::{Reach, Retry, reach};
use super::{Options, Shutdown, locked, reserved};
use fathom_record::State;
use fathom_spec::Run;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// So many different runs in a row speak against a device.
const STREAK: usize = 3;

/// Longest time for which a slot does not look whether all is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// A run to be done, with what is known of earlier attempts.
#[derive(Clone)]
pub(super) struct Task<'a> {
    pub run: &'a Run,
    /// Attempts that failed.
    pub failures: u32,
    /// How often another process had it.
    pub held: u32,
    alone: bool,
    /// Place of a device where it should not be tried again.
    avoid: Option<usize>,
    due: Option<Instant>,
}

impl<'a> Task<'a> {
    fn new(run: &'a Run) -> Self {
        Self { run, failures: 0, held: 0, alone: false, avoid: None, due: None }
    }
}

/// How an attempt ended, for the pool.
pub(super) enum End<'a> {
    /// With this state; whether and how there is one more attempt.
    With(State, &'a str, Option<Retry>),
    /// Not begun, for somebody else has it; asked for again after so many seconds.
    Held(Option<u32>),
}

struct Active {
    id: String,
    memory: u64,
    alone: bool,
    /// Whether another run was on the device at the same time.
    accompanied: bool,
}

#[derive(Default)]
struct Device {
    active: Vec<Active>,
    /// Runs that failed here one after the other, as a broken device makes them.
    streak: Vec<String>,
    is_out: bool,
}

struct Inner<'a> {
    waiting: VecDeque<Task<'a>>,
    devices: Vec<Device>,
    is_halted: bool,
}

/// What all slots share.
pub(super) struct Pool<'a> {
    inner: Mutex<Inner<'a>>,
    changed: Condvar,
    options: &'a Options,
}

impl<'a> Pool<'a> {
    pub fn new(runs: impl IntoIterator<Item = &'a Run>, options: &'a Options) -> Self {
        let devices = options.devices.iter().map(|_| Device::default()).collect();
        let waiting = runs.into_iter().map(Task::new).collect();
        let inner = Mutex::new(Inner { waiting, devices, is_halted: false });
        Self { inner, changed: Condvar::new(), options }
    }

    /// Waits for a run that may begin on this device; nothing when none will come any more.
    pub fn take(&self, device: usize, control: &Shutdown) -> Option<Task<'a>> {
        let mut inner = locked(&self.inner);
        loop {
            if inner.is_halted || inner.devices[device].is_out || control.is_stopping() {
                return None;
            }
            if let Some(place) = inner.choose(device, self.options.memory) {
                return inner.start(place, device);
            }
            // What runs may come back.
            if inner.waiting.is_empty() && inner.devices.iter().all(|one| one.active.is_empty()) {
                return None;
            }
            let now = Instant::now();
            let dues = inner.waiting.iter().filter_map(|task| task.due);
            let next = dues.filter(|due| *due > now).map(|due| due - now).min();
            let pause = next.map_or(LOOK, |next| next.min(LOOK));
            inner = self
                .changed
                .wait_timeout(inner, pause)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
    }

    /// An attempt is over. Tells what that means for others.
    pub fn done(&self, mut task: Task<'a>, device: usize, end: End) -> Vec<String> {
        let mut inner = locked(&self.inner);
        let later = |seconds| Some(Instant::now() + self.options.second * seconds);
        let accompanied = inner.leave(device, &task.run.id);
        let mut remarks = Vec::new();
        match end {
            End::Held(again) => {
                task.held += 1;
                if let Some(seconds) = again {
                    task.due = later(seconds);
                    inner.waiting.push_back(task);
                }
            }
            End::With(state, message, retry) => {
                let speaks = !accompanied || state == State::LostDevice;
                let counts = retry.is_none() || (speaks && inner.has_others(device));
                let name = &self.options.devices[device];
                remarks.extend(inner.note(device, name, task.run, (state, message), counts));
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

    /// No run begins any more.
    pub fn halt(&self) {
        locked(&self.inner).is_halted = true;
        self.changed.notify_all();
    }

    /// Whether every device was taken out, and how many runs that leaves.
    pub fn stranded(&self) -> Option<usize> {
        let inner = locked(&self.inner);
        let is_stranded = inner.devices.iter().all(|device| device.is_out);
        (is_stranded && !inner.waiting.is_empty()).then_some(inner.waiting.len())
    }
}

impl<'a> Inner<'a> {
    /// The first run in the queue that is due and belongs here, if it may begin now. One that must
    /// wait for room keeps its turn: the longest come first, and none is passed over for ever.
    fn choose(&self, device: usize, memory: Option<u64>) -> Option<usize> {
        let now = Instant::now();
        let here = &self.devices[device];
        let has_others = self.has_others(device);
        let may_wait_here = |task: &Task| {
            task.due.is_none_or(|due| due <= now) && (task.avoid != Some(device) || !has_others)
        };
        let place = self.waiting.iter().position(may_wait_here)?;
        let task = &self.waiting[place];
        let used: u64 = here.active.iter().map(|active| active.memory).sum();
        let fits = memory.is_none_or(|most| used.saturating_add(reserved(task.run)) <= most);
        let is_alone = task.alone || here.active.iter().any(|active| active.alone);
        (here.active.is_empty() || (fits && !is_alone)).then_some(place)
    }

    fn has_others(&self, device: usize) -> bool {
        self.devices.iter().enumerate().any(|(place, other)| place != device && !other.is_out)
    }

    fn start(&mut self, place: usize, device: usize) -> Option<Task<'a>> {
        let task = self.waiting.remove(place)?;
        let here = &mut self.devices[device];
        here.active.iter_mut().for_each(|other| other.accompanied = true);
        here.active.push(Active {
            id: task.run.id.clone(),
            memory: reserved(task.run),
            alone: task.alone,
            accompanied: !here.active.is_empty(),
        });
        Some(task)
    }

    /// Whether the run had company.
    fn leave(&mut self, device: usize, id: &str) -> bool {
        let active = &mut self.devices[device].active;
        let place = active.iter().position(|active| active.id == id);
        place.is_some_and(|place| active.remove(place).accompanied)
    }

    /// What an end says about other runs and about the device. An attempt `counts` against the
    /// device when it was the run's last one; where there are other devices, every attempt does
    /// that had the device for itself.
    fn note(
        &mut self,
        device: usize,
        name: &str,
        run: &Run,
        (state, message): (State, &str),
        counts: bool,
    ) -> Option<String> {
        match reach(state) {
            Reach::ThisRun => None,
            Reach::Well => {
                self.devices[device].streak.clear();
                None
            }
            Reach::AllRuns => {
                self.is_halted = true;
                let left = self.waiting.len();
                Some(format!("no further run is begun ({left} left): {}: {message}", run.id))
            }
            Reach::SameData => {
                let before = self.waiting.len();
                self.waiting.retain(|task| task.run.settings.data != run.settings.data);
                let gone = before - self.waiting.len();
                (gone > 0).then(|| format!("{gone} runs on the same data not begun: {message}"))
            }
            Reach::Device => {
                let here = &mut self.devices[device];
                if counts && !here.streak.contains(&run.id) {
                    here.streak.push(run.id.clone());
                }
                if here.streak.len() < STREAK || here.is_out {
                    return None;
                }
                here.is_out = true;
                let runs = here.streak.join(", ");
                Some(format!(
                    "{name} is no longer used: {STREAK} different runs in a row failed on it \
                     ({runs}; the last one {state}: {message})"
                ))
            }
        }
    }
}
