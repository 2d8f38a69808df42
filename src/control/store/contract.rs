//! What every store must do, asked of each of them.

use std::sync::Arc;

use super::*;

fn write(key: &str, record: &str) -> Write {
    (key.to_owned(), Some(record.as_bytes().to_vec()))
}

async fn records(store: &dyn Store) -> Vec<(String, String)> {
    let content = store.load().await.unwrap();
    let text = |record: Vec<u8>| String::from_utf8(record).unwrap();
    content
        .records
        .into_iter()
        .map(|(key, record)| (key, text(record)))
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(key, record)| ((*key).to_owned(), (*record).to_owned()))
        .collect()
}

async fn keeps_the_contract(store: Arc<dyn Store>) {
    assert_eq!(store.load().await.unwrap(), Content::default());
    let first = vec![write("b", "1"), write("a", "2")];
    assert_eq!(store.commit(Revision(0), first).await, Ok(Revision(1)));
    assert_eq!(records(&*store).await, pairs(&[("a", "2"), ("b", "1")]));

    let late = store.commit(Revision(0), vec![write("a", "lost")]).await;
    assert_eq!(late, Err(StoreError::Conflict { now: Revision(1) }));
    let early = store.commit(Revision(2), vec![write("c", "lost")]).await;
    assert_eq!(early, Err(StoreError::Conflict { now: Revision(1) }));
    assert_eq!(records(&*store).await, pairs(&[("a", "2"), ("b", "1")]));

    let second = vec![
        write("a", ""),
        ("b".to_owned(), None),
        ("none".to_owned(), None),
    ];
    assert_eq!(store.commit(Revision(1), second).await, Ok(Revision(2)));
    assert_eq!(records(&*store).await, pairs(&[("a", "")]));
    assert_eq!(store.commit(Revision(2), Vec::new()).await, Ok(Revision(3)));
    assert_eq!(store.load().await.unwrap().revision, Revision(3));

    // Two who expect the same: one of them wins.
    let one = store.commit(Revision(3), vec![write("x", "one"), write("y", "one")]);
    let two = store.commit(Revision(3), vec![write("x", "two"), write("y", "two")]);
    let (one, two) = tokio::join!(one, two);
    assert_eq!(
        usize::from(one.is_ok()) + usize::from(two.is_ok()),
        1,
        "{one:?} {two:?}"
    );
    let winner = if one.is_ok() { "one" } else { "two" };
    assert_eq!(
        records(&*store).await,
        pairs(&[("a", ""), ("x", winner), ("y", winner)])
    );
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    keeps_the_contract(Arc::new(Memory::default())).await;
}

#[tokio::test]
async fn a_shared_store_keeps_the_contract_and_tells_what_is_new() {
    let store = Shared::default();
    let mut feed = store.follow().unwrap().feed;
    keeps_the_contract(Arc::new(store.clone())).await;
    assert!(feed.has_changed().unwrap());
    let told = Content::clone(&feed.borrow_and_update().content);
    assert_eq!(told, store.load().await.unwrap());
    store.commit(told.revision, Vec::new()).await.unwrap();
    assert!(feed.has_changed().unwrap());
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract_and_what_it_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Embedded::open(&path).unwrap();
    keeps_the_contract(Arc::new(store.clone())).await;
    let before = store.load().await.unwrap();
    assert_eq!(Embedded::open(&path).err(), Some(StoreError::Busy));
    drop(store);
    let again = Embedded::open(&path).unwrap();
    assert_eq!(again.load().await.unwrap(), before);
}

#[tokio::test]
async fn etcd_keeps_the_contract() {
    let server = etcd::tests::Server::start();
    keeps_the_contract(Arc::new(etcd::tests::empty(&server).await)).await;
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.toml");
    std::fs::write(&path, "workers = 2\n").unwrap();
    assert!(matches!(Embedded::open(&path), Err(StoreError::Failed(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "workers = 2\n");
    let nowhere = folder.path().join("none").join("store.redb");
    assert!(matches!(
        Embedded::open(&nowhere),
        Err(StoreError::Failed(_))
    ));
}

#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let _store = Embedded::open(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
