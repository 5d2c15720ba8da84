//! Parity with reference outputs, stage by stage and as a whole.

#[path = "../support/mod.rs"]
mod support;
#[macro_use]
#[path = "../support/trials.rs"]
mod trials;

mod arithmetic;
mod coreset;
mod end_to_end;
mod image;
mod metrics;
mod network;
mod patches;
mod score;

fn main() {
    let all = [
        arithmetic::trials(),
        coreset::trials(),
        end_to_end::trials(),
        image::trials(),
        metrics::trials(),
        network::trials(),
        patches::trials(),
        score::trials(),
    ];
    trials::run_trials(all.into_iter().flatten().collect()).exit();
}
