//! What a session promises: the memory it said, no allocation once warm, the same bits at every thread count
//! and from every copy of a model.

mod support;

use patchcore::image::{Frame, Mask, PixelFormat};
use patchcore::{Backbone, OpenOptions, PatchCore, Session, TrainOptions, Trainer};
use patchcore::{Precision, SearchKind};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::model_bytes;
use support::photographs::{gray_frame, gray_pattern};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are allocated, and the most that ever were.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Threads before there is a session: an emulator has some of its own.
static ALONE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WIDTH: usize = 96;
const HEIGHT: usize = 80;

fn photograph(seed: usize) -> Vec<u8> {
    gray_pattern(WIDTH, HEIGHT, seed)
}

fn frame(pixels: &[u8]) -> Frame<'_> {
    gray_frame(WIDTH, pixels)
}

/// How the memory bank is searched and kept.
type Bank = (SearchKind, Precision);

fn options(threads: usize, (search, bank_precision): Bank) -> TrainOptions {
    let mut options = TrainOptions::default()
        .threads(threads)
        .search(search)
        .bank_precision(bank_precision)
        .coreset_ratio(0.3);
    options.preprocess.resize = (48, 64);
    options
}

/// Options whose region of interest is an ellipse in the middle.
fn options_with_roi() -> TrainOptions {
    let inside = |at: usize| {
        let [x, y] = [(at % WIDTH, WIDTH), (at / WIDTH, HEIGHT)]
            .map(|(at, side)| 2.5 * (at as f32 / side as f32 - 0.5));
        x * x + y * y < 1.0
    };
    let mask = Mask { width: WIDTH, height: HEIGHT, data: (0..WIDTH * HEIGHT).map(inside).collect() };
    options(1, (SearchKind::Pruned, Precision::Single)).roi(Some(mask))
}

fn train(threads: usize, bank: Bank) -> PatchCore {
    train_with(&options(threads, bank))
}

fn train_with(options: &TrainOptions) -> PatchCore {
    let backbone = Backbone::embedded("small").unwrap();
    let mut trainer = Trainer::new(&backbone, options).unwrap();
    for seed in 0..4 {
        trainer.add(&frame(&photograph(seed))).unwrap();
    }
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).unwrap()
}

/// Score and map as bits.
fn bits(session: &mut Session, seed: usize) -> Vec<u32> {
    let pixels = photograph(seed);
    let found = session.predict(&frame(&pixels)).unwrap();
    std::iter::once(found.score).chain(session.map().unwrap().iter().copied()).map(f32::to_bits).collect()
}

// Without the test harness: the counter counts the whole process, and the harness allocates when a test takes
// long.
fn main() {
    ALONE.store(running(), Ordering::Relaxed);
    for precision in [Precision::Single, Precision::Half] {
        let [flat, pruned] = [SearchKind::Flat, SearchKind::Pruned].map(|search| check((search, precision)));
        assert!(flat == pruned, "the searches disagree");
        for search in [SearchKind::Flat, SearchKind::Pruned] {
            check_memory(&train(1, (search, precision)), &format!("{search:?}, {precision:?}"));
        }
    }
    let with_roi = train_with(&options_with_roi());
    assert!((0.1..0.7).contains(&with_roi.info().roi_share()));
    check_memory(&with_roi, "region of interest");
    check_many(&with_roi);
    check_many(&train(1, (SearchKind::Pruned, Precision::Single)));
    check_training();
    println!("predictions allocate nothing and give the same bits at every thread count; memory is as told");
}

/// Many predictions: queues allocate in pieces of some dozens of entries.
fn check_many(model: &PatchCore) {
    let mut session = Session::new(model, 2).unwrap();
    settle(2);
    let pixels = photograph(4);
    let mut predict = || {
        let score = session.score(&frame(&pixels)).unwrap();
        assert_eq!(session.predict(&frame(&pixels)).unwrap().score, score);
        score
    };
    let first = [predict(), predict()];
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!((0..70).all(|_| predict() == first[0]));
    assert_none(ALLOCATIONS.load(Ordering::Relaxed) - before, "70 predictions at 2 threads");
}

/// A training keeps to its bound: the patches past it go to a file, and the memory bank and its search fit as
/// well, up to what does not grow with the rows.
fn check_training() {
    const BOUND: u64 = 1 << 20;
    const FIXED: usize = 400_000;
    for bank_precision in [Precision::Single, Precision::Half] {
        let options = options(1, (SearchKind::Auto, bank_precision))
            .max_memory(Some(BOUND))
            .coreset_ratio(1.0)
            .cross_validate(false);
        let mut trainer = Trainer::new(&Backbone::embedded("small").unwrap(), &options).unwrap();
        trainer.add(&frame(&photograph(0))).unwrap();
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        for seed in 1..12 {
            trainer.add(&frame(&photograph(seed))).unwrap();
        }
        let model = trainer.finish(&mut |_, _, _| ControlFlow::Continue(())).unwrap();
        let taken = PEAK.load(Ordering::Relaxed) - before;
        let sampled = model.info().training().sampled;
        println!(
            "training, {bank_precision:?}: took {taken} of {BOUND} bytes, chose from {sampled:?} patches"
        );
        let most = BOUND as usize + FIXED;
        assert!(sampled.is_some() && taken <= most, "{bank_precision:?}: took {taken} of {most} bytes");
    }
}

/// Threads of the process; 0 where the system does not tell.
fn running() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Waits until the threads of earlier sessions have ended and the `threads` of this one have begun, which
/// allocate meanwhile.
fn settle(threads: usize) {
    let expected = ALONE.load(Ordering::Relaxed) + if threads > 1 { threads } else { 0 };
    for _ in 0..1000 {
        if [0, expected].contains(&running()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(50));
}

/// No allocations. Under ThreadSanitizer, and only then, the thread pool's library keeps books that allocate;
/// `.ci/sanitize` sets the variable.
#[track_caller]
fn assert_none(allocated: usize, what: &str) {
    assert!(allocated == 0 || std::env::var_os("TSAN_OPTIONS").is_some(), "{what}: {allocated} allocations");
}

/// A model and its sessions take what they say, before anything is taken.
fn check_memory(trained: &PatchCore, what: &str) {
    let file = model_bytes(trained);
    let before = LIVE.load(Ordering::Relaxed);
    let model = OpenOptions::default().open_copy(&file).unwrap();
    let taken = LIVE.load(Ordering::Relaxed) - before;
    for threads in [1, 2, 5] {
        let said = model.memory(threads, WIDTH, HEIGHT, PixelFormat::Gray8).unwrap();
        assert_close(taken, said.model, &format!("{what}, model"));

        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let mut session = Session::new(&model, threads).unwrap();
        for seed in 0..2 {
            session.predict(&frame(&photograph(seed))).unwrap();
            session.score(&frame(&photograph(seed))).unwrap();
        }
        let taken = PEAK.load(Ordering::Relaxed) - before;
        assert_close(taken, said.session, &format!("{what}, session of {threads}"));
    }
    assert!(model.memory(1, 7, 64, PixelFormat::Gray8).is_err());
    assert!(model.memory(1025, 64, 64, PixelFormat::Gray8).is_err());
}

/// What was taken is at most what was said, and nearly that.
#[track_caller]
fn assert_close(taken: usize, said: usize, what: &str) {
    println!("{what}: took {taken} of {said} bytes");
    assert!(taken <= said && said - taken <= said / 50 + 64 * 1024, "{what}: took {taken} of {said} bytes");
}

/// What a model with this search gives for some photographs.
fn check(bank: Bank) -> Vec<Vec<u32>> {
    let model = &train(1, bank);
    let expected: Vec<_> = (4..8).map(|seed| bits(&mut Session::new(model, 1).unwrap(), seed)).collect();
    for threads in [1, 2, 3, 8] {
        let mut session = Session::new(model, threads).unwrap();
        settle(threads);
        let photographs: Vec<_> = (4..8).map(photograph).collect();
        for pixels in photographs.iter().chain(&photographs) {
            session.predict(&frame(pixels)).unwrap();
            session.score(&frame(pixels)).unwrap();
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for (pixels, expected) in photographs.iter().zip(&expected) {
            session.predict(&frame(pixels)).unwrap();
            let score = session.score(&frame(pixels)).unwrap();
            assert_eq!(score.to_bits(), expected[0], "{bank:?}, {threads} threads: the score alone differs");
        }
        let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_none(allocated, &format!("{bank:?}, {threads} threads"));
        let found: Vec<_> = (4..8).map(|seed| bits(&mut session, seed)).collect();
        assert!(found == expected, "{threads} threads");
    }

    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut session = Session::new(model, 1).unwrap();
                let found: Vec<_> = (4..8).map(|seed| bits(&mut session, seed)).collect();
                assert!(found == expected, "sessions that share a model disturb each other");
            });
        }
    });

    let file = model_bytes(model);
    assert!(file == model_bytes(&train(2, bank)), "the file depends on the number of threads");
    let reopened = OpenOptions::default().open_copy(&file).unwrap();
    assert!(bits(&mut Session::new(&reopened, 2).unwrap(), 5) == expected[1], "opening changes scores");
    expected
}
