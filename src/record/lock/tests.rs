use super::file::{Withdrawn, move_away, place, place_by};
use super::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

/// A short time of watching, and no renewals.
const SHORT: LockTiming =
    LockTiming { watch: Duration::from_millis(120), beat: Duration::from_secs(3600) };

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.lock");
    (folder, path)
}

/// The present owner of the lock.
fn holder(path: &Path) -> Owner {
    Owner::read(&std::fs::read(path).unwrap())
}

/// Writes the lock of another process.
fn leave(path: &Path, change: impl FnOnce(&mut Owner)) -> Owner {
    let mut owner = Owner::here("fathom-train").unwrap();
    change(&mut owner);
    std::fs::write(path, owner.bytes()).unwrap();
    owner
}

/// The id of a process that has ended.
fn dead_pid() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

fn held(result: Result<Acquired, LockError>) -> Owner {
    match result {
        Err(LockError::Held { owner, .. }) => *owner,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lock_is_taken_once_and_released() {
    let (folder, path) = folder();
    let taken = Lock::acquire(&path, "fathom run", &SHORT).unwrap();
    assert_eq!(taken.taken_over, None);
    taken.lock.check().unwrap();
    assert_eq!(holder(&path).what, "fathom run");
    let message = Lock::acquire(&path, "fathom run", &SHORT).unwrap_err().to_string();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let named = format!("fathom run (pid {} on {})", std::process::id(), host.trim());
    for part in ["run.lock is held by", &named, "wait until it ends", "remove that file"] {
        assert!(message.contains(part), "{message}");
    }
    drop(taken);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    Lock::acquire(&path, "fathom run", &SHORT).unwrap();
}

#[test]
fn the_lock_of_a_dead_process_of_this_machine_is_taken_over_at_once() {
    for name in ["dead", "another process under the same pid"] {
        let (folder, path) = folder();
        let left = leave(&path, |owner| match name {
            "dead" => owner.pid = dead_pid(),
            _ => owner.started -= 1,
        });
        let timing = LockTiming { watch: Duration::from_secs(3600), ..SHORT };
        let taken = Lock::acquire(&path, "fathom run", &timing).unwrap();
        assert_eq!(taken.taken_over, Some(left), "{name}");
        taken.lock.check().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{name}: only the lock");
    }
}

#[test]
fn a_process_that_ended_without_its_parent_noticing_is_dead() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let (_folder, path) = folder();
    leave(&path, |owner| (owner.pid, owner.started) = (child.id(), 0));
    let begun = Instant::now();
    while Lock::acquire(&path, "fathom run", &SHORT).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    child.wait().unwrap();
}

#[test]
fn a_reboot_ends_every_process_and_what_cannot_be_looked_up_is_unknown() {
    let here = Owner { host: "node1".into(), ..Owner::here("fathom run").unwrap() };
    assert_eq!(here.life(&here), Life::Lasts);
    let before = Owner { boot: "another".into(), ..here.clone() };
    assert_eq!(before.life(&here), Life::Over);
    let other = Owner { host: "node2".into(), ..here.clone() };
    assert_eq!(other.life(&here), Life::Unknown);
    let container = Owner { namespace: "pid:[1]".into(), pid: dead_pid(), ..here.clone() };
    assert_eq!(container.life(&here), Life::Unknown);
    let secretive = Owner { boot: String::new(), ..here.clone() };
    assert_eq!(secretive.life(&here), Life::Unknown);
    for name in ["localhost", "localhost.localdomain", ""] {
        let everybody = Owner { host: name.into(), ..here.clone() };
        let rebooted = Owner { boot: "another".into(), ..everybody.clone() };
        assert_eq!(rebooted.life(&everybody), Life::Unknown, "{name}");
    }
    assert_eq!(Owner::read(b"").life(&here), Life::Unknown);
}

#[test]
fn the_lock_of_another_host_is_watched_and_taken_over_when_it_stands_still() {
    let (_folder, path) = folder();
    let left = leave(&path, |owner| owner.host = "node7".into());
    let begun = Instant::now();
    let mut watched = Vec::new();
    let mut waiting = |owner: &Owner| watched.push(owner.host.clone());
    let taken = Lock::acquire_with(&path, "fathom run", &SHORT, &mut waiting).unwrap();
    assert!(begun.elapsed() >= SHORT.watch);
    assert_eq!(taken.taken_over, Some(left));
    assert_eq!(watched, ["node7"]);
}

#[test]
fn the_lock_of_another_host_is_held_when_its_counter_moves() {
    let (_folder, path) = folder();
    let mut left = leave(&path, |owner| owner.host = "node7".into());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(SHORT.watch / 4);
            left.beat += 1;
            assert!(file::renew(&path, &left).unwrap());
        });
        let timing = LockTiming { watch: Duration::from_secs(10), ..SHORT };
        let begun = Instant::now();
        let owner = held(Lock::acquire(&path, "fathom run", &timing));
        assert_eq!((owner.host.as_str(), owner.beat), ("node7", 1));
        assert!(begun.elapsed() < Duration::from_secs(5), "known as soon as it moved");
    });
    assert_eq!(holder(&path).host, "node7");
}

#[test]
fn a_lock_that_is_held_is_renewed_in_bytes_of_the_same_length() {
    let (_folder, path) = folder();
    let timing = LockTiming { beat: Duration::from_millis(5), ..SHORT };
    let taken = Lock::acquire(&path, "fathom run", &timing).unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    let begun = Instant::now();
    while holder(&path).beat < 12 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
    taken.lock.check().unwrap();
    drop(taken);
    assert!(!path.exists());
}

#[test]
fn of_two_takers_exactly_one_wins() {
    let (folder, path) = folder();
    let pid = dead_pid();
    for round in 0..100 {
        leave(&path, |owner| owner.pid = pid);
        let together = Barrier::new(2);
        let taker = || {
            together.wait();
            let taken = Lock::acquire(&path, "fathom run", &SHORT);
            // The lock is held until the other process has its answer.
            together.wait();
            match taken {
                Ok(taken) => taken.lock.check().is_ok(),
                Err(LockError::Held { .. }) => false,
                Err(error) => panic!("{error}"),
            }
        };
        let wins = std::thread::scope(|scope| {
            let takers = [scope.spawn(taker), scope.spawn(taker)];
            takers.map(|taker| taker.join().unwrap()).iter().filter(|won| **won).count()
        });
        assert_eq!(wins, 1, "round {round}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "round {round}");
    }
}

#[test]
fn a_lock_that_was_moved_away_by_mistake_comes_back_and_is_not_lost() {
    let (folder, path) = folder();
    let taken = Lock::acquire(&path, "fathom run", &SHORT).unwrap();
    // Another process found a stale lock there, which was replaced just before its rename.
    assert_eq!(move_away(&path, "taker", |found| found == b"stale").unwrap(), Withdrawn::No);
    taken.lock.check().unwrap();
    // The same with a check by the holder in between.
    std::thread::scope(|scope| {
        let away = folder.path().join("away");
        std::fs::rename(&path, &away).unwrap();
        let asks = scope.spawn(|| taken.lock.check());
        std::thread::sleep(BETWEEN_READS);
        std::fs::rename(&away, &path).unwrap();
        asks.join().unwrap().unwrap();
    });
    drop(taken);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_lost_lock_is_noticed_and_neither_renewed_nor_removed() {
    let (_folder, path) = folder();
    let timing = LockTiming { beat: Duration::from_millis(5), ..SHORT };
    let taken = Lock::acquire(&path, "fathom run", &timing).unwrap();
    let token = taken.lock.token().clone();
    token.check().unwrap();
    // Another process took it over while this one was suspended.
    std::fs::remove_file(&path).unwrap();
    let other = Owner { host: "node7".into(), ..Owner::here("fathom-train").unwrap() };
    assert!(place(&path, &other).unwrap());
    let message = taken.lock.check().unwrap_err().to_string();
    assert!(message.contains("run.lock is lost"), "{message}");
    assert!(message.contains("taken over by fathom-train (pid "), "{message}");
    assert!(message.contains("on node7"), "{message}");
    // A child process with the token finds it out, too.
    let sent = serde_json::to_string(&token).unwrap();
    assert!(serde_json::from_str::<LockToken>(&sent).unwrap().check().is_err());
    std::thread::sleep(Duration::from_millis(30));
    drop(taken);
    assert_eq!(holder(&path), other);
}

#[test]
fn renewing_writes_into_the_old_file_even_when_it_was_moved() {
    let (folder, path) = folder();
    let mut left = leave(&path, |_| {});
    let away = folder.path().join("away");
    let open = std::fs::File::options().write(true).open(&path).unwrap();
    std::fs::rename(&path, &away).unwrap();
    left.beat = 9;
    assert!(!file::renew(&path, &left).unwrap(), "it makes no name");
    assert!(!path.exists());
    // A write through the open file goes to the renamed one.
    std::os::unix::fs::FileExt::write_all_at(&open, &left.bytes(), 0).unwrap();
    assert_eq!(holder(&away).beat, 9);
}

#[test]
fn a_removed_lock_is_lost() {
    let (_folder, path) = folder();
    let taken = Lock::acquire(&path, "fathom run", &SHORT).unwrap();
    std::fs::remove_file(&path).unwrap();
    let message = taken.lock.check().unwrap_err().to_string();
    assert!(message.contains("removed or damaged"), "{message}");
}

#[test]
fn a_damaged_file_is_watched_before_it_is_taken_over() {
    for bytes in [&b""[..], b"{\"schema\": 1, \"tok"] {
        let (_folder, path) = folder();
        std::fs::write(&path, bytes).unwrap();
        let begun = Instant::now();
        let taken = Lock::acquire(&path, "fathom run", &SHORT).unwrap();
        assert!(begun.elapsed() >= SHORT.watch);
        let previous = taken.taken_over.unwrap();
        assert!(!previous.is_known());
        assert!(previous.to_string().contains("unknown process"), "{previous}");
    }
    let (_folder, path) = folder();
    std::fs::write(&path, "").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for count in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                std::fs::write(&path, format!("{count}")).unwrap();
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        let owner = held(Lock::acquire(&path, "fathom run", &SHORT));
        stop.store(true, Ordering::Relaxed);
        assert!(!owner.is_known());
    });
}

#[test]
fn without_links_the_file_is_created_exclusively() {
    let (_folder, path) = folder();
    let no_links = |_: &Path, _: &Path| Err(std::io::ErrorKind::Unsupported.into());
    let first = Owner::here("fathom run").unwrap();
    assert!(place_by(&path, &first, no_links).unwrap());
    assert!(!place_by(&path, &Owner::here("fathom run").unwrap(), no_links).unwrap());
    assert_eq!(holder(&path), first);
}

#[test]
fn a_link_whose_answer_was_lost_is_known_as_ones_own() {
    let (_folder, path) = folder();
    let answered_twice = |from: &Path, to: &Path| {
        std::fs::hard_link(from, to)?;
        std::fs::hard_link(from, to)
    };
    assert!(place_by(&path, &Owner::here("fathom run").unwrap(), answered_twice).unwrap());
}

#[test]
fn where_nothing_can_be_written_the_error_names_the_file() {
    let (folder, _) = folder();
    // Not even root writes to /proc.
    for path in [folder.path().join("absent/run.lock"), "/proc/run.lock".into()] {
        let error = Lock::acquire(&path, "fathom run", &SHORT).unwrap_err();
        assert!(matches!(error, LockError::Io { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("cannot lock {}", path.display())), "{message}");
    }
    // A dangling link is neither free nor held.
    let path = folder.path().join("run.lock");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    let message = Lock::acquire(&path, "fathom run", &SHORT).unwrap_err().to_string();
    assert!(message.contains("dangling link"), "{message}");
}

#[test]
fn peeking_tells_the_holder_and_touches_nothing() {
    let (_folder, path) = folder();
    assert_eq!(Lock::peek(&path).unwrap(), None);
    let gone = leave(&path, |owner| owner.pid = dead_pid());
    assert_eq!(Lock::peek(&path).unwrap(), Some(Holder::Gone(gone)));
    let far = leave(&path, |owner| owner.host = "far away".into());
    assert_eq!(Lock::peek(&path).unwrap(), Some(Holder::Elsewhere(far)));
    std::fs::remove_file(&path).unwrap();
    let taken = Lock::acquire(&path, "fathom run", &SHORT).unwrap();
    assert_eq!(Lock::peek(&path).unwrap(), Some(Holder::Alive(holder(&path))));
    taken.lock.check().unwrap();
}
