//! Predicts for a given time in two threads that share one model, and watches what must not change:
//! allocations, memory, scores. Prints the latencies.
//!
//!     cargo run --release --example soak -- [SECONDS] [MODEL.pcore]

use patchcore::SearchKind;
use patchcore::image::{Frame, PixelFormat};
use patchcore::{Backbone, PatchCore, Result, Session, TrainOptions, Trainer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Counts each thread's allocations.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FORMATS: [PixelFormat; 4] =
    [PixelFormat::Gray8, PixelFormat::Rgb8, PixelFormat::Bgra8, PixelFormat::Rgb16];
/// The photographs of a thread have one size: another takes memory once.
const SIZES: [(usize, usize); 2] = [(640, 480), (500, 375)];
/// Latencies that there is room for, in a thread.
const MOST: usize = 1 << 22;

fn pixels((width, height): (usize, usize), format: PixelFormat, seed: usize) -> Vec<u8> {
    let row = width * format.bytes();
    (0..row * height).map(|i| ((i % row * 3 + seed * 11) ^ (i / row * 2 + seed)) as u8).collect()
}

fn train() -> Result<PatchCore> {
    // The k-d tree allocates.
    let options = TrainOptions::default().coreset_ratio(0.05).search(SearchKind::Pruned);
    let mut trainer = Trainer::new(&Backbone::embedded("default")?, &options)?;
    for seed in 0..4 {
        let data = pixels(SIZES[0], PixelFormat::Gray8, seed);
        trainer.add(&Frame::new(SIZES[0].0, SIZES[0].1, SIZES[0].0, PixelFormat::Gray8, &data)?)?;
    }
    trainer.finish(&mut |_, _, _| ControlFlow::Continue(()))
}

fn frame((width, height): (usize, usize), image: &(PixelFormat, Vec<u8>)) -> Result<Frame<'_>> {
    Frame::new(width, height, width * image.0.bytes(), image.0, &image.1)
}

struct Watched {
    /// Microseconds of each prediction after the first round.
    latencies: Vec<u32>,
    allocations: u64,
    different: u64,
}

fn watch(model: &PatchCore, size: (usize, usize), end: Instant) -> Result<Watched> {
    let image = |seed: usize| (FORMATS[seed % 4], pixels(size, FORMATS[seed % 4], seed));
    let images: Vec<_> = (0..12).map(image).collect();
    let mut session = Session::new(model, 1)?;
    let mut expected = Vec::new();
    for _ in 0..2 {
        expected.clear();
        for image in &images {
            let found = session.predict(&frame(size, image)?)?;
            expected.push((found.score, session.map()?.iter().sum::<f32>()));
        }
    }
    let mut watched = Watched { latencies: Vec::with_capacity(MOST), allocations: 0, different: 0 };
    let before = ALLOCATIONS.get();
    for (image, &expected) in images.iter().zip(&expected).cycle() {
        let start = Instant::now();
        if start >= end || watched.latencies.len() == MOST {
            break;
        }
        let found = session.predict(&frame(size, image)?)?;
        let found = (found.score, session.map()?.iter().sum::<f32>());
        watched.latencies.push(start.elapsed().as_micros() as u32);
        watched.different += u64::from(found != expected);
    }
    watched.allocations = ALLOCATIONS.get() - before;
    Ok(watched)
}

/// Resident memory in kB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let model = arguments.next().map_or_else(train, PatchCore::open)?;
    let (start, time) = (Instant::now(), Duration::from_secs(seconds));
    let mut memory = Vec::new();
    let watched = std::thread::scope(|scope| {
        let watchers = SIZES.map(|size| {
            let model = &model;
            scope.spawn(move || watch(model, size, start + time))
        });
        while start.elapsed() < time {
            std::thread::sleep(time / 20);
            memory.extend(resident());
        }
        watchers.map(|watcher| watcher.join().expect("a thread panicked"))
    });
    let mut latencies = Vec::new();
    let (mut allocations, mut different) = (0, 0);
    for watched in watched {
        let watched = watched?;
        latencies.extend(watched.latencies);
        allocations += watched.allocations;
        different += watched.different;
    }
    latencies.sort_unstable();
    let at = |share: f64| {
        let last = latencies.len().saturating_sub(1);
        latencies.get((last as f64 * share) as usize).map_or(0.0, |&us| f64::from(us) / 1000.0)
    };
    println!("{} predictions in {seconds} s, 2 threads, {}", latencies.len(), model.isa().name());
    println!(
        "p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, worst {:.2} ms",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    // Page by page the room for latencies fills.
    let own = latencies.len() as u64 * 4 / 1024;
    // The first fifth of the time is the warm-up.
    let after = memory.get(memory.len() / 5..).unwrap_or_default();
    if let (Some(first), Some(last)) = (after.first(), after.last()) {
        println!("resident memory {first} kB after warm-up, {last} kB at the end ({own} kB of it latencies)");
    }
    println!("{allocations} allocations after warm-up, {different} answers that changed");
    if allocations + different > 0 {
        return Err("something changed".into());
    }
    Ok(())
}
