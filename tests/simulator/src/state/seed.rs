//! The default world: what the simulator starts with, and returns to at a reset.
//!
//! | organization | what it is for |
//! |---|---|
//! | `tidewater` | the one that tests and demos use: seven projects, `Harbor` and `Quay Works` with repositories |
//! | `breakwater` | another one, whose token is refused by `tidewater` |
//! | `lighthouse` | has a public project, so that anonymous requests succeed there (facts 7) |

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::git::Repository;
use super::people::{Person, Rights, Scope, Token, new_older_token, new_token};
use super::{Counters, Organization, Project, World};
use crate::Config;
use crate::assumptions::Assumptions;
use crate::clock::Clock;
use crate::developer::push::{NewCommit, RefChange, RefKind, push};
use crate::developer::{Refused, Scene};
use crate::faults::Faults;
use crate::ids::guid_for;
use crate::ledger::Ledger;
use crate::records::Records;
use crate::schedule::Schedule;

/// The organization that is meant when none is named.
pub(crate) const MAIN: &str = "tidewater";

/// Each token kind with who holds it and for what; see `/_control/tokens` in the README.
const TOKENS: [(&str, &str, Scope); 9] = [
    ("good", "Ines Varga", Scope::CodeWrite),
    ("older", "Ines Varga", Scope::CodeWrite),
    ("expired", "Ines Varga", Scope::CodeWrite),
    ("withoutScope", "Ines Varga", Scope::Packaging),
    ("readOnly", "Ines Varga", Scope::CodeRead),
    ("projectAdministrator", "Milo Brandt", Scope::CodeWrite),
    ("withoutHooks", "Asha Rao", Scope::CodeWrite),
    ("withoutPermission", "Petra Lindh", Scope::CodeWrite),
    ("withoutProjects", "Olu Adeyemi", Scope::CodeWrite),
];

/// The values of all tokens. They are made once a start and survive a reset, since they were handed out.
#[derive(Clone, Debug)]
pub(crate) struct TokenValues {
    values: BTreeMap<&'static str, String>,
}

impl TokenValues {
    pub(crate) fn generate() -> Self {
        let kinds = TOKENS.iter().map(|(kind, ..)| *kind);
        // "unknown" is in no organization: it looks right and is nobody's.
        let values = kinds
            .chain(["otherOrganization", "publicOrganization", "unknown"])
            .map(|kind| {
                (
                    kind,
                    if kind == "older" {
                        new_older_token()
                    } else {
                        new_token()
                    },
                )
            })
            .collect();
        Self { values }
    }

    pub(crate) fn all(&self) -> &BTreeMap<&'static str, String> {
        &self.values
    }

    fn token(&self, kind: &'static str, person: Uuid, scope: Scope) -> Token {
        Token {
            kind,
            value: self.values.get(kind).cloned().unwrap_or_default(),
            person,
            scope,
            expired: kind == "expired",
            revoked: false,
        }
    }
}

/// Makes the default world. `base` is the simulator's own address.
pub(crate) fn world(
    base: &str,
    tokens: &TokenValues,
    config: &Config,
    clock: &Arc<Clock>,
) -> World {
    let mut world = World {
        organizations: vec![
            tidewater(base, tokens),
            breakwater(base, tokens),
            lighthouse(base, tokens),
        ],
        assumptions: Assumptions::default(),
        faults: Faults::default(),
        records: Records::new(config.keep_records),
        publish_lag: config.publish_lag,
        clock: Arc::clone(clock),
        schedule: Schedule::default(),
        ledger: Ledger::new(config.keep_records),
        sending: config.sending.clone(),
        sent_off: 0,
    };
    if let Err(refused) = histories(&mut world, clock.now()) {
        tracing::error!(%refused, "the default world could not be made");
    }
    // Nobody subscribed to what the world begins with.
    world.ledger.clear();
    world
}

fn organization(base: &str, name: &str, people: &[(&str, Rights)]) -> Organization {
    Organization {
        name: name.to_owned(),
        collection: guid_for(&format!("collection/{name}")),
        account: guid_for(&format!("account/{name}")),
        url: format!("{base}/{name}"),
        people: people
            .iter()
            .map(|(person, rights)| Person::new(name, person, *rights))
            .collect(),
        tokens: Vec::new(),
        projects: Vec::new(),
        repositories: Vec::new(),
        pull_requests: Vec::new(),
        subscriptions: Vec::new(),
        counters: Counters::default(),
    }
}

impl Organization {
    /// Adds a project; the same name always gets the same GUID.
    pub(crate) fn add_project(
        &mut self,
        name: &str,
        description: Option<&str>,
        public: bool,
        now: Timestamp,
    ) -> Uuid {
        let id = guid_for(&format!("project/{}/{name}", self.name));
        self.projects.push(Project {
            id,
            name: name.to_owned(),
            description: description.map(str::to_owned),
            public,
            revision: 11 + self.projects.len() as u32,
            updated: now,
        });
        id
    }

    /// Adds an empty repository; the same name in the same project always gets the same GUID.
    pub(crate) fn add_repository(&mut self, project: Uuid, name: &str) -> Uuid {
        let id = guid_for(&format!("repository/{project}/{name}"));
        self.repositories.push(Repository::new(id, project, name));
        id
    }
}

fn tidewater(base: &str, tokens: &TokenValues) -> Organization {
    let people = [
        ("Ines Varga", Rights::COLLECTION_ADMINISTRATOR),
        ("Tom Eklund", Rights::CONTRIBUTOR),
        ("Milo Brandt", Rights::PROJECT_ADMINISTRATOR),
        ("Asha Rao", Rights::CONTRIBUTOR),
        ("Petra Lindh", Rights::STAKEHOLDER),
        ("Olu Adeyemi", Rights::STRANGER),
        ("Tidewater Build", Rights::CONTRIBUTOR),
    ];
    let mut it = organization(base, MAIN, &people);
    it.tokens = TOKENS
        .iter()
        .map(|(kind, person, scope)| {
            tokens.token(kind, guid_for(&format!("person/{MAIN}/{person}")), *scope)
        })
        .collect();
    let made = "2026-02-03T08:15:42.36Z"
        .parse()
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let harbor = it.add_project(
        "Harbor",
        Some("Where everything that runs is described"),
        false,
        made,
    );
    let quay = it.add_project("Quay Works", None, false, made);
    for name in ["Buoys", "Charts", "Drydock", "Ferry", "Signal Tower"] {
        it.add_project(name, None, false, made);
    }
    it.projects.sort_by(|one, other| one.name.cmp(&other.name));
    for name in ["platform", "website", "empty", "retired"] {
        it.add_repository(harbor, name);
    }
    it.add_repository(quay, "tide tables");
    it
}

fn breakwater(base: &str, tokens: &TokenValues) -> Organization {
    let mut it = organization(
        base,
        "breakwater",
        &[("Nils Ahlgren", Rights::COLLECTION_ADMINISTRATOR)],
    );
    it.tokens = vec![tokens.token("otherOrganization", it.people[0].id, Scope::CodeWrite)];
    it.add_project("Stones", None, false, Timestamp::UNIX_EPOCH);
    it
}

fn lighthouse(base: &str, tokens: &TokenValues) -> Organization {
    let mut it = organization(
        base,
        "lighthouse",
        &[("Freya Holm", Rights::COLLECTION_ADMINISTRATOR)],
    );
    it.tokens = vec![tokens.token("publicOrganization", it.people[0].id, Scope::CodeWrite)];
    it.add_project(
        "Lamp",
        Some("Everybody may look"),
        true,
        Timestamp::UNIX_EPOCH,
    );
    it
}

/// The commits and branches that repositories begin with, made by pushes in the past weeks.
fn histories(world: &mut World, now: Timestamp) -> Result<(), Refused> {
    let weeks_ago = |weeks: i64| {
        now.checked_sub(SignedDuration::from_hours(weeks * 168))
            .unwrap_or(now)
    };
    let mut scene = Scene::new(world, MAIN, weeks_ago(6))?;
    let platform = repository(&scene, "Harbor", "platform")?;
    let developer = scene.person(None)?;
    let first = [
        ("README.md", "# Platform\n"),
        (
            "prod/main.tf",
            "module \"net\" {\n  source = \"../modules/net\"\n}\n",
        ),
        ("prod/variables.tf", "variable \"region\" {}\n"),
        (
            "staging/main.tf",
            "module \"net\" {\n  source = \"../modules/net\"\n}\n",
        ),
        ("modules/net/main.tf", "# a network\n"),
        ("modules/net/outputs.tf", "# what it gives\n"),
        ("docs/runbook.md", "# When it is down\n"),
    ];
    let main = |kind, commits| RefChange {
        name: "main".to_owned(),
        kind: Some(kind),
        from: None,
        commits,
    };
    push(
        &mut scene,
        platform,
        &developer,
        &[main(RefKind::Create, vec![files("Begin", &first)])],
    )?;
    scene.now = weeks_ago(3);
    let second = files(
        "Make the network wider",
        &[("modules/net/main.tf", "# a wider network\n")],
    );
    push(
        &mut scene,
        platform,
        &developer,
        &[main(RefKind::Update, vec![second])],
    )?;
    scene.now = weeks_ago(2);
    let branches: Vec<RefChange> = BRANCHES.iter().map(|name| branch(name)).collect();
    push(&mut scene, platform, &developer, &branches)?;
    let tag = RefChange {
        name: "v1.0.0".to_owned(),
        kind: Some(RefKind::Tag),
        from: None,
        commits: Vec::new(),
    };
    push(&mut scene, platform, &developer, &[tag])?;

    let website = repository(&scene, "Harbor", "website")?;
    let page = files(
        "Begin",
        &[
            ("index.html", "<h1>Tidewater</h1>\n"),
            ("infra/main.tf", "# a bucket\n"),
        ],
    );
    push(
        &mut scene,
        website,
        &developer,
        &[main(RefKind::Create, vec![page])],
    )?;
    let tables = repository(&scene, "Quay Works", "tide tables")?;
    let table = files(
        "Begin",
        &[
            ("tables/2026.csv", "day,high,low\n"),
            ("main.tf", "# a table\n"),
        ],
    );
    push(
        &mut scene,
        tables,
        &developer,
        &[main(RefKind::Create, vec![table])],
    )?;
    let retired = repository(&scene, "Harbor", "retired")?;
    let old = files("Begin", &[("main.tf", "# long ago\n")]);
    push(
        &mut scene,
        retired,
        &developer,
        &[main(RefKind::Create, vec![old])],
    )?;
    if let Some(retired) = scene.organization_mut()?.repository_mut(retired) {
        retired.disabled = true;
    }
    Ok(())
}

/// Enough branches that a small page does not hold them.
const BRANCHES: [&str; 14] = [
    "develop",
    "feature/anchor-alerts",
    "feature/berth-plan",
    "feature/crane-sensors",
    "feature/dredging",
    "feature/ebb-forecast",
    "feature/fog-horn",
    "feature/gangway",
    "feature/harbor-map",
    "feature/ice-watch",
    "feature/jetty-lights",
    "hotfix/lost-buoy",
    "release/2026.1",
    "release/2026.2",
];

fn branch(name: &str) -> RefChange {
    let note = format!("docs/{}.md", name.replace('/', "-"));
    let commits = if name.starts_with("feature/") {
        vec![files(
            &format!("Begin {name}"),
            &[(note.as_str(), "# A beginning\n")],
        )]
    } else {
        Vec::new()
    };
    RefChange {
        name: name.to_owned(),
        kind: Some(RefKind::Create),
        from: None,
        commits,
    }
}

fn files(message: &str, files: &[(&str, &str)]) -> NewCommit {
    NewCommit {
        files: files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), Some((*content).to_owned())))
            .collect(),
        message: Some(message.to_owned()),
        author: None,
    }
}

fn repository(scene: &Scene<'_>, project: &str, name: &str) -> Result<Uuid, Refused> {
    let organization = scene.organization()?;
    let project = organization.project(project).map(|it| it.id);
    organization
        .find_repository(project, name)
        .map(|it| it.id)
        .ok_or_else(|| crate::developer::not_found("repository", name))
}
