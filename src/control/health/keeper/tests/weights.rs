//! Weights that move with what backends do.

use super::*;
use crate::base::id::CoreId;

const MOVING: &str = "dynamic_weights = \"1s\"\n";

/// So many seconds in which each backend answers 20 requests, in so many microseconds.
fn serve(world: &mut World, seconds: u32, took: [u64; 3]) {
    for _ in 0..seconds {
        for (backend, took) in world.group().backends.iter().zip(took) {
            let core = backend.stats.of(CoreId(0));
            for _ in 0..20 {
                core.requests.inc(200);
                core.latency.record_micros(took);
            }
        }
        world.pass(Duration::from_secs(1), |_| true);
    }
}

fn shares(world: &World) -> [u8; 3] {
    [0, 1, 2].map(|at| world.standing(at).ramp)
}

#[test]
fn a_slow_backend_gets_less_of_its_weight_until_it_is_quick_again() {
    let mut world = World::new(&format!("{THREE}{MOVING}"));
    serve(&mut world, 2, [1000, 1000, 4000]);
    let [first, second, third] = shares(&world);
    assert_eq!((first, second), (100, 100));
    assert!((80..95).contains(&third), "steps are small: {third}");
    serve(&mut world, 30, [1000, 1000, 4000]);
    let third = shares(&world)[2];
    assert!(third < 40, "{third}");
    serve(&mut world, 120, [1000, 1000, 500]);
    assert_eq!(shares(&world)[2], 100);
}

#[test]
fn weights_stay_without_the_key_and_come_back_when_it_is_taken_out() {
    let mut world = World::new(THREE);
    serve(&mut world, 30, [1000, 1000, 4000]);
    assert_eq!(shares(&world), [100; 3]);
    world.publish(&format!("{THREE}{MOVING}"));
    serve(&mut world, 30, [1000, 1000, 4000]);
    assert!(shares(&world)[2] < 50);
    world.publish(THREE);
    assert_eq!(shares(&world), [100; 3]);
}
