//! `klamm cluster`.

use serde_json::json;

use crate::support::TestNode;
use crate::terminal::Terminal;

#[test]
fn the_cluster_is_shown() {
    let node = TestNode::start(&["broker.rack=here"]);
    let at = Terminal::at(&node);
    at.ok("topic create orders -p 3");
    let info = at.json("cluster info");
    assert_eq!((&info["brokers"], &info["leaderless"]), (&json!(1), &json!(0)), "{info}");
    let brokers = at.json("cluster brokers");
    assert_eq!(
        (&brokers[0]["id"], &brokers[0]["rack"], &brokers[0]["leads"]),
        (&json!(1), &json!("here"), &json!(3)),
        "{brokers}"
    );
    assert_eq!(at.json("cluster quorum")["leader"], 1);
    let features = at.ok("cluster features");
    assert!(features.contains("metadata.version"), "{features}");
    let dirs = at.json("cluster log-dirs");
    assert_eq!((&dirs[0]["broker"], &dirs[0]["error"]), (&json!(1), &json!(null)), "{dirs}");
    assert!(at.ok("cluster api-versions").contains("Produce"));
    at.fails(1, "cluster log-dirs --topic nothing", &["topic \"nothing\" does not exist"]);
}
