//! The kit's verbs: what they let happen, and what they report.

#[path = "support/program.rs"]
mod program;

use std::time::Duration;

use backgroundjobs_testing::TestKit;

use self::program::{SECOND, mail, scene_of};

const MILLI: Duration = Duration::from_millis(1);

#[tokio::test]
async fn the_tests_own_calls_do_not_hang_where_store_calls_take_time() {
    let kit = TestKit::builder().store_delay(MILLI..=MILLI).build();
    let scene = scene_of(kit, |options| options).await;
    let admin = scene.jobs.admin().expect("the memory store has it");
    admin.pause("default").await.expect("paused");
    scene.enqueue(mail("masa")).await;
    assert_eq!(scene.kit.advance(SECOND).await.succeeded, 0);
    admin.resume("default").await.expect("resumed");
    assert_eq!(scene.kit.advance(SECOND).await.succeeded, 1);
    scene.enqueue(mail("taro")).await;
    // Explains what is left, which asks the store.
    scene.kit.finish().await;
}
