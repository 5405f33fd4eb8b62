//! The worker pool: the same few threads for every operation of a run.
//!
//! A decoded token is some two hundred operations of 20 µs to 1 ms, each followed by a barrier. So handing out work must
//! cost about a microsecond, and waiting must not cost a core to anyone who shares the machine:
//!
//! ```text
//!   caller      publish task ── claim pieces ──────────── wait until all pieces are done ── return
//!                     │            ▲ next += 1                  ▲
//!   worker i    spin… │ wake ── claim pieces ── no piece left ──┘ ── spin 60 µs, yield a while, then park
//! ```
//!
//! - *Pieces are claimed one at a time* from a counter, by the caller as well. A worker that the system has put aside claims
//!   nothing and holds nobody up; only a piece already begun must be finished. (A fixed share per thread waits for the
//!   slowest, which on a busy machine is a scheduler's time slice of milliseconds.)
//! - *The run ends when all pieces are done*, not when all workers have looked: a worker that comes late finds no piece and
//!   touches nothing of the task.
//! - *Waiting* spins first, because the next operation usually comes within microseconds, then yields the core, then parks.
//! - No allocation per run: the task is a reference to a closure on the caller's stack.
//! - Results never depend on who took which piece: a piece is a number, and writes only what belongs to that number.
//!
//! One word, `state`, makes this sound: the run's number in the upper half and the next piece in the lower. A worker claims
//! by compare-and-swap of the whole word, so a claim of an old run can never succeed on a newer one.

use std::{
    any::Any,
    cell::UnsafeCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::*},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a waiting thread spins before it yields.
const SPIN: Duration = Duration::from_micros(60);
/// How long it then yields before it parks.
const YIELD: Duration = Duration::from_micros(400);

/// A pool of threads, the calling one included.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a run: a second caller waits.
    running: Mutex<()>,
}

/// What a piece is told: its number, and the number of the thread that runs it (for scratch memory; 0 is the caller).
type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// The task of the current run with its lifetime erased.
#[derive(Clone, Copy)]
struct Job(*const Task<'static>);

struct Shared {
    /// `run << 32 | next piece`.
    state: AtomicU64,
    /// How many pieces the current run has.
    pieces: AtomicU32,
    /// Pieces of the current run that are not done yet.
    left: AtomicUsize,
    job: UnsafeCell<Job>,
    panicked: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
    /// How many workers are parked, or about to.
    parked: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
    /// The caller waits here when it has parked.
    done: Condvar,
    caller_parked: AtomicBool,
}

// SAFETY: `job` is the only field that is not Sync. It is written by the caller of `run` alone, under the `running` lock and
// only while no piece is left unclaimed or unfinished; it is read by a thread only after it has claimed a piece of the run it
// belongs to, which synchronises with that write through `state` (see `claim`). `Task` itself is Sync.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is dereferenced only while the closure it points to is borrowed by `run`.
unsafe impl Send for Shared {}

impl Shared {
    /// Takes the next piece of the current run: `(piece, job)`, or nothing if there is none left.
    fn claim(&self) -> Option<(usize, Job)> {
        let mut state = self.state.load(Acquire);
        loop {
            let (piece, pieces) = (state as u32, self.pieces.load(Acquire));
            if piece >= pieces {
                return None;
            }
            // `pieces` may belong to a newer run than `state`; then the exchange fails, because the number of the run changed.
            match self.state.compare_exchange_weak(state, state + 1, AcqRel, Acquire) {
                Ok(_) => {
                    // SAFETY: a piece of the run in `state` is now ours and unfinished, so `run` has not returned and does
                    // not write `job` before `left` reaches zero; the write before it happened before `state` was published.
                    return Some((piece as usize, unsafe { *self.job.get() }));
                }
                Err(now) => state = now,
            }
        }
    }

    /// Runs pieces until none is left.
    fn work(&self, thread: usize) {
        while let Some((piece, job)) = self.claim() {
            if !self.panicked.load(Relaxed) {
                // SAFETY: the closure is borrowed by `run`, which waits for this piece.
                let task = unsafe { &*job.0 };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(piece, thread))) {
                    lock(&self.panic).get_or_insert(panic);
                    self.panicked.store(true, Release);
                }
            }
            if self.left.fetch_sub(1, SeqCst) == 1 && self.caller_parked.load(SeqCst) {
                let _guard = lock(&self.lock);
                self.done.notify_all();
            }
        }
    }

    /// The life of a worker.
    fn serve(&self, thread: usize) {
        let mut seen = 0;
        while !self.stop.load(Acquire) {
            let run = self.state.load(Acquire) >> 32;
            if run != seen {
                seen = run;
                self.work(thread);
                continue;
            }
            let news = || self.state.load(SeqCst) >> 32 != seen || self.stop.load(SeqCst);
            if wait_awake(news) {
                continue;
            }
            self.parked.fetch_add(1, SeqCst);
            let mut guard = lock(&self.lock);
            while !news() {
                guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            drop(guard);
            self.parked.fetch_sub(1, SeqCst);
        }
    }
}

/// A lock, whether or not somebody panicked while holding it: what these protect is never left half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spins, then yields, until `ready`; false when it took too long to stay awake for.
fn wait_awake(ready: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        for _ in 0..32 {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        let waited = begun.elapsed();
        if waited > SPIN + YIELD {
            return ready();
        }
        if waited > SPIN {
            std::thread::yield_now();
        }
    }
}

impl Pool {
    /// A pool of this many threads, at least one: the caller of [`Pool::run`] and `threads − 1` workers. Where the system
    /// refuses a thread, the pool has fewer; [`Pool::threads`] tells.
    pub fn new(threads: usize) -> Pool {
        fn nothing(_: usize, _: usize) {}
        let job: &'static Task<'static> = &nothing;
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            pieces: AtomicU32::new(0),
            left: AtomicUsize::new(0),
            job: UnsafeCell::new(Job(job)),
            panicked: AtomicBool::new(false),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
            parked: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
            done: Condvar::new(),
            caller_parked: AtomicBool::new(false),
        });
        let workers = (1..threads.max(1))
            .map_while(|thread| {
                let shared = shared.clone();
                let name = format!("lucid-{thread}");
                std::thread::Builder::new().name(name).spawn(move || shared.serve(thread)).ok()
            })
            .collect();
        Pool { shared, workers, running: Mutex::new(()) }
    }

    /// How many threads work, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(piece, thread)` once for every piece in `0..pieces`, on any thread, and returns when all are done.
    ///
    /// `thread` is below [`Pool::threads`] and no two pieces run on the same `thread` at the same time. A run from within a
    /// piece would wait for itself: don't.
    ///
    /// # Panics
    /// If a piece panics: its panic continues in the caller once the run is over; pieces not yet begun are left out.
    pub fn run(&self, pieces: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        let _running = lock(&self.running);
        if pieces <= 1 || self.workers.is_empty() {
            (0..pieces).for_each(|piece| task(piece, 0));
            return;
        }
        let pieces = u32::try_from(pieces).expect("fewer than 2³² pieces");
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. The pointer is used by `work` for claimed, unfinished pieces alone, and this
        // function does not return before every piece is finished.
        let job = unsafe { std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task) };
        // SAFETY: the previous run's pieces are all claimed and finished (its `left` reached zero before `run` returned, and
        // `running` is held), so no thread reads `job` until `state` is published below.
        unsafe { *shared.job.get() = Job(job) };
        shared.panicked.store(false, Relaxed);
        shared.left.store(pieces as usize, Relaxed);
        // Beside the old run's number, a larger `pieces` would let a late worker claim a piece of the old run. So the counter
        // is put at its end first.
        let old = shared.state.load(Relaxed) >> 32;
        let run = old.wrapping_add(1) & u32::MAX as u64;
        shared.state.store((old << 32) | u32::MAX as u64, SeqCst);
        shared.pieces.store(pieces, SeqCst);
        shared.state.store(run << 32, SeqCst);
        if shared.parked.load(SeqCst) > 0 {
            let _guard = lock(&shared.lock);
            shared.wake.notify_all();
        }

        shared.work(0);
        let finished = || shared.left.load(SeqCst) == 0;
        if !wait_awake(finished) {
            shared.caller_parked.store(true, SeqCst);
            let mut guard = lock(&shared.lock);
            while !finished() {
                guard = shared.done.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            drop(guard);
            shared.caller_parked.store(false, SeqCst);
        }
        if shared.panicked.load(Acquire)
            && let Some(panic) = lock(&shared.panic).take()
        {
            resume_unwind(panic);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        {
            let _guard = lock(&self.shared.lock);
            self.shared.wake.notify_all();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join(); // a worker catches the panics of its pieces and has none of its own
        }
    }
}

/// How many threads to use unless told: the physical cores, at most those this process may run on, at most its cgroup's quota.
pub fn default_threads() -> usize {
    // The standard library reads the affinity mask and the quotas of cgroups v1 and v2, rounded down.
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    physical_cores().map_or(allowed, |cores| allowed.min(cores)).max(1)
}

/// Distinct cores among the processors, as Linux lists them; nothing where it does not.
fn physical_cores() -> Option<usize> {
    let mut cores = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir("/sys/devices/system/cpu").ok()? {
        let path = entry.ok()?.path();
        // Hyperthreads of one core name the same siblings.
        if let Ok(siblings) = std::fs::read_to_string(path.join("topology/thread_siblings_list")) {
            cores.insert(siblings);
        }
    }
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_runs_once_for_every_count_of_threads() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads);
            for pieces in [0, 1, 2, 7, 100, 1000] {
                let counts: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
                pool.run(pieces, &|piece, thread| {
                    assert!(thread < pool.threads());
                    counts[piece].fetch_add(1, Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Relaxed) == 1), "{threads} threads, {pieces} pieces");
            }
        }
    }

    #[test]
    fn no_two_pieces_share_a_thread_number_at_the_same_time() {
        let pool = Pool::new(4);
        let busy: Vec<AtomicBool> = (0..4).map(|_| AtomicBool::new(false)).collect();
        for _ in 0..200 {
            pool.run(16, &|_, thread| {
                assert!(!busy[thread].swap(true, SeqCst));
                std::thread::yield_now();
                busy[thread].store(false, SeqCst);
            });
        }
    }

    #[test]
    fn many_short_runs_with_more_threads_than_cores_and_busy_neighbours_end() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let pool = Pool::new(8);
            let sum = AtomicUsize::new(0);
            for run in 0..2000 {
                pool.run(5, &|piece, _| {
                    sum.fetch_add(run * piece, Relaxed);
                });
            }
            stop.store(true, Relaxed);
            assert_eq!(sum.load(Relaxed), (0..2000).sum::<usize>() * 10);
        });
    }

    #[test]
    fn parked_workers_wake_up() {
        let pool = Pool::new(3);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(20));
            let both = AtomicUsize::new(0);
            // Two pieces that wait for each other: neither can be left to one thread.
            pool.run(2, &|_, _| {
                both.fetch_add(1, SeqCst);
                while both.load(SeqCst) < 2 {
                    std::thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn a_panic_in_a_piece_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        for guilty in [0, 3, 9] {
            let run = || pool.run(10, &|piece, _| assert!(piece != guilty, "piece {guilty}"));
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), &format!("piece {guilty}"));
            let done = AtomicUsize::new(0);
            pool.run(10, &|_, _| {
                done.fetch_add(1, Relaxed);
            });
            assert_eq!(done.load(Relaxed), 10);
        }
    }

    #[test]
    fn the_default_is_at_least_one_thread_and_at_most_what_the_system_allows() {
        let threads = default_threads();
        assert!(threads >= 1 && threads <= std::thread::available_parallelism().map_or(1, usize::from));
    }
}
