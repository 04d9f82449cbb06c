//! The pushes of a repository that nobody has seen.

use std::collections::{BTreeMap, HashMap};

use ado::{AdoClient, Push, PushedRef};
use domain::{event::is_no_object, rules::MOST_UNTRACKED};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use store::SeenPush;

use crate::{
    compare::Followed,
    pass::{Care, Halt},
    recovered::{self, Missed},
};

/// How many pushes are asked for at once.
const PAGE: u32 = 100;
/// How many pages are read of one repository: what is further back is not found.
const MOST_PAGES: u32 = 20;
/// How many pushes are noted at once.
const AT_A_TIME: usize = 8;

impl Care<'_> {
    /// Compares the pushes of a repository since it was last compared. Those up to `stopped_until` a person does not want: they only
    /// count as compared.
    pub(crate) async fn compare_pushes(
        &mut self,
        client: &AdoClient,
        of: &Followed,
        stopped_until: Option<Timestamp>,
    ) -> Result<(), Halt> {
        let (store, name) = (&self.app.store, &self.integration.name);
        let (project, repository) = (&of.project, &of.repository);
        let Some(compared) = store.compared(name, &repository.id).await? else {
            let project = project.id.as_str();
            baseline::begin(client, store, name, project, &repository.id, self.now).await?;
            return Ok(());
        };
        let pushes = self.pushes_after(client, of, compared).await?;
        let newest = pushes.iter().map(|push| push.id).max();
        let mut pushes = pushes;
        if let Some(until) = stopped_until {
            pushes.retain(|push| push.date.is_some_and(|date| date > until));
        }
        if !pushes.is_empty() {
            let seen = Seen::of(store.pushes_seen(name, &repository.id, compared).await?);
            let mut untracked: HashMap<i64, usize> = HashMap::new();
            for missed in missed(&pushes, &seen, |name| of.wants_push(name)) {
                if !of.tracks(&missed.newest.name) {
                    let count = untracked.entry(missed.push.id).or_default();
                    *count += 1;
                    if *count > MOST_UNTRACKED {
                        continue;
                    }
                }
                self.recover_push(of, &missed).await?;
            }
        }
        // Written also where there is nothing new: it is known for so long only, and without it comparing would begin anew.
        let (store, name) = (&self.app.store, &self.integration.name);
        let upto = newest.unwrap_or(compared);
        store
            .set_compared(name, &repository.id, upto, false, self.now)
            .await?;
        Ok(())
    }

    /// Keeps what was missed of a ref. That the pushes behind its newest are in it is noted at once: whoever stops here would
    /// find them again, once the newest was dispatched, as a change of their own.
    async fn recover_push(&mut self, of: &Followed, missed: &Missed<'_>) -> Result<(), Halt> {
        let body = recovered::push((&of.project, &of.repository), missed, self.now);
        self.recover(&body).await?;
        let (store, name) = (&self.app.store, &self.integration.name);
        let refs = std::slice::from_ref(&missed.newest.name);
        stream::iter(&missed.older)
            .map(|push| store.saw_push(name, &of.repository.id, *push, refs, self.now))
            .buffer_unordered(AT_A_TIME)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// The pushes with numbers above `compared`, the newest first, up to the first one whose event may be on its way.
    async fn pushes_after(
        &mut self,
        client: &AdoClient,
        of: &Followed,
        compared: i64,
    ) -> Result<Vec<Push>, Halt> {
        let mut pushes: Vec<Push> = Vec::new();
        let mut is_all = false;
        for page in 0..MOST_PAGES {
            let (project, repository) = (of.project.id.as_str(), of.repository.id.as_str());
            let found = client
                .pushes(project, repository, PAGE, page * PAGE)
                .await?;
            is_all = found.len() < usize::try_from(PAGE).unwrap_or(usize::MAX)
                || found.iter().any(|push| push.id <= compared);
            pushes.extend(found.into_iter().filter(|push| push.id > compared));
            if is_all {
                break;
            }
        }
        if !is_all {
            tracing::warn!(
                integration = self.integration.name.as_str(),
                repository = of.repository.id.as_str(),
                "there are more pushes than are compared; older ones are not found"
            );
        }
        // Numbers are counted as compared in their order, so what is behind one that is not certain waits with it.
        let certain = self.now - self.app.settings.in_flight;
        let may_be_on_its_way = |push: &&Push| push.date.is_some_and(|date| date > certain);
        let first = pushes
            .iter()
            .filter(may_be_on_its_way)
            .map(|it| it.id)
            .min();
        pushes.retain(|push| first.is_none_or(|first| push.id < first));
        Ok(pushes)
    }
}

/// Which refs of which pushes were seen; `None` stands for all of a push.
#[derive(Debug, Default)]
struct Seen(HashMap<i64, Vec<Option<Vec<String>>>>);

impl Seen {
    fn of(pushes: Vec<SeenPush>) -> Self {
        let mut seen = Self::default();
        for push in pushes {
            seen.0.entry(push.push_id).or_default().push(push.refs);
        }
        seen
    }

    fn has(&self, push: i64, name: &str) -> bool {
        let has_it = |refs: &Option<Vec<String>>| {
            refs.as_ref()
                .is_none_or(|refs| refs.iter().any(|it| it == name))
        };
        self.0.get(&push).is_some_and(|all| all.iter().any(has_it))
    }
}

/// What was missed of the refs that are wanted. Pushes of a ref that come one after the other, with none between them that was
/// seen, are one change: from before the oldest of them to after the newest. A ref that is gone asks for nothing, and one that was
/// made anew has nothing to do with what it was before.
fn missed<'a>(
    pushes: &'a [Push],
    seen: &Seen,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Missed<'a>> {
    let mut by_ref: BTreeMap<&str, BTreeMap<i64, (&Push, &PushedRef)>> = BTreeMap::new();
    for push in pushes {
        for update in &push.ref_updates {
            if is_wanted(&update.name) {
                let of_ref = by_ref.entry(&update.name).or_default();
                of_ref.insert(push.id, (push, update));
            }
        }
    }
    let mut all = Vec::new();
    for (name, updates) in by_ref {
        let mut open: Option<Missed<'a>> = None;
        for (push, update) in updates.into_values().rev() {
            if seen.has(push.id, name) {
                all.extend(open.take());
                continue;
            }
            if let Some(group) = &mut open {
                group.oldest = update;
                group.older.push(push.id);
            } else {
                open = Some(Missed {
                    push,
                    newest: update,
                    oldest: update,
                    older: Vec::new(),
                });
            }
            if is_nothing(update.old.as_deref()) {
                all.extend(open.take());
            }
        }
        all.extend(open);
    }
    all.retain(|missed| !is_nothing(missed.newest.new.as_deref()));
    all
}

/// Whether nothing is told of an object, or that there is none.
fn is_nothing(id: Option<&str>) -> bool {
    id.is_none_or(|id| id.is_empty() || is_no_object(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes of `main`, each from the object before to the one of its number.
    fn pushes(numbers: &[i64]) -> Vec<Push> {
        let pushed = numbers.iter().rev().map(|id| Push {
            id: *id,
            date: None,
            pushed_by: None,
            ref_updates: vec![PushedRef {
                name: "refs/heads/main".to_owned(),
                old: Some(format!("{:040}", id - 1)),
                new: Some(format!("{id:040}")),
            }],
        });
        pushed.collect()
    }

    fn seen(numbers: &[i64]) -> Seen {
        let of = |id: &i64| SeenPush {
            push_id: *id,
            refs: Some(vec!["refs/heads/main".to_owned()]),
        };
        Seen::of(numbers.iter().map(of).collect())
    }

    fn found(pushes: &[Push], seen: &Seen) -> Vec<(i64, String, String)> {
        let digits =
            |id: &Option<String>| id.as_deref().unwrap().trim_start_matches('0').to_owned();
        missed(pushes, seen, |_| true)
            .iter()
            .map(|it| (it.push.id, digits(&it.oldest.old), digits(&it.newest.new)))
            .collect()
    }

    #[test]
    fn what_was_missed_in_a_row_is_one_change_up_to_its_tip() {
        let all = pushes(&[11, 12, 13, 14, 15]);
        let one = |push: i64, old: &str, new: &str| (push, old.to_owned(), new.to_owned());
        assert_eq!(found(&all, &seen(&[])), [one(15, "10", "15")]);
        assert_eq!(found(&all, &seen(&[11, 12, 13, 14, 15])), []);
        assert_eq!(
            found(&all, &seen(&[13])),
            [one(15, "13", "15"), one(12, "10", "12")]
        );
        assert_eq!(found(&all, &seen(&[11, 12, 14, 15])), [one(13, "12", "13")]);
    }

    #[test]
    fn a_ref_that_is_gone_or_not_wanted_asks_for_nothing() {
        let mut all = pushes(&[11, 12]);
        all[0].ref_updates[0].new = Some("0".repeat(40));
        assert_eq!(found(&all, &seen(&[])), []);
        assert!(missed(&pushes(&[11]), &seen(&[]), |_| false).is_empty());
    }

    #[test]
    fn a_ref_that_was_made_anew_is_new_whatever_was_before() {
        let mut all = pushes(&[11, 12, 13, 14]);
        // 12 deletes it, 13 makes it again.
        all[2].ref_updates[0].new = Some("0".repeat(40));
        all[1].ref_updates[0].old = Some("0".repeat(40));
        let made = (14, String::new(), "14".to_owned());
        assert_eq!(found(&all, &seen(&[])), std::slice::from_ref(&made));
        assert_eq!(found(&all, &seen(&[11, 12])), [made]);
    }

    #[test]
    fn a_push_that_is_listed_twice_is_one() {
        let mut all = pushes(&[11, 12]);
        all.extend(pushes(&[11, 12]));
        let all_missed = missed(&all, &seen(&[]), |_| true);
        assert_eq!(all_missed.len(), 1);
        assert_eq!(all_missed[0].older, [11]);
    }

    #[test]
    fn a_push_of_too_many_refs_to_be_kept_was_seen_in_all_of_them() {
        let whole = Seen::of(vec![SeenPush {
            push_id: 11,
            refs: None,
        }]);
        assert_eq!(found(&pushes(&[11]), &whole), []);
        let other = Seen::of(vec![SeenPush {
            push_id: 11,
            refs: Some(vec!["refs/heads/other".to_owned()]),
        }]);
        assert_eq!(found(&pushes(&[11]), &other).len(), 1);
    }
}
