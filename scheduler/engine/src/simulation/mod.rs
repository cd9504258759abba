//! The engine against a hostile world, by random histories: executors that vanish, repeat
//! themselves and report late, leaders that crash before and after a commit.
//!
//! After every step the invariants of [`check`] are asserted on the stored rows alone and on the
//! engine's own indices. A failing history is shrunk by proptest and kept as a regression.

mod check;
mod world;

use proptest::prelude::*;
use world::{Action, World};

fn action() -> impl Strategy<Value = Action> {
    let pick = any::<u8>;
    prop_oneof![
        4 => (pick(), pick()).prop_map(|(dag, shape)| Action::RunCreate { dag, shape }),
        1 => pick().prop_map(|run| Action::RunCancel { run }),
        2 => pick().prop_map(|executor| Action::Register { executor }),
        8 => (pick(), 0..4_u32).prop_map(|(executor, free)| Action::Claim { executor, free }),
        4 => (pick(), any::<bool>(), any::<bool>())
            .prop_map(|(executor, all, started)| Action::Heartbeat { executor, all, started }),
        8 => (pick(), pick(), pick())
            .prop_map(|(executor, lease, outcome)| Action::Complete { executor, lease, outcome }),
        2 => (pick(), pick()).prop_map(|(lease, outcome)| Action::ReportLate { lease, outcome }),
        1 => pick().prop_map(|executor| Action::Release { executor }),
        3 => (0..20_000_u32).prop_map(|millis| Action::Advance { millis }),
        1 => (pick(), any::<bool>()).prop_map(|(dag, paused)| Action::Pause { dag, paused }),
        1 => (0..4_u32).prop_map(|slots| Action::PoolSet { slots }),
        1 => Just(Action::LeaderCrash),
        1 => Just(Action::CommitLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Safety after every step; then every fault is healed, and every run must end.
    #[test]
    fn any_history_keeps_every_invariant_and_ends(
        actions in prop::collection::vec(action(), 1..160),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(seed);
        for action in actions {
            world.act(action);
        }
        world.heal();
    }
}

/// The histories above are worth nothing if the interesting things never happen in them.
#[test]
fn the_histories_reach_what_they_are_for() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = world::Seen::default();
    for seed in 0..150 {
        let actions = prop::collection::vec(action(), 100..160)
            .new_tree(&mut runner)
            .unwrap();
        let mut world = World::new(seed);
        for action in actions.current() {
            world.act(action);
        }
        world.heal();
        seen.add(&world.seen);
    }
    seen.assert_all();
}
