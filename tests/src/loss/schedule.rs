//! What happens on a day, second by second: what people do in their repositories, and what goes wrong.

use std::{collections::BTreeMap, fmt};

/// The projects, each with its repositories.
pub(crate) const PROJECTS: [(&str, [&str; 2]); 2] =
    [("Dawn", ["api", "web"]), ("Dusk", ["infra", "tools"])];
/// The branch that is there from the beginning.
pub(crate) const MAIN: &str = "main";
/// The same seed gives the same schedule.
const SEED: u64 = 20_261_126;
const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;

/// A place in [`PROJECTS`]: the project's, and the repository's in it.
pub(crate) type Place = (usize, usize);

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// People work: what they do is counted, but no trouble.
    Deed(Deed),
    /// DynamoDB answers nothing but 500 from now on.
    StoreGoes,
    /// It answers again.
    StoreReturns,
    /// From now on no concurrency is left for the function: the service answers 429 in its place.
    ThrottlingBegins,
    /// There is some again.
    ThrottlingEnds,
    /// The process that gets the next delivery dies at it: before it has stored it, or between storing and answering.
    Kill {
        /// Which of the two.
        is_stored: bool,
    },
    /// The webhook password is changed.
    PasswordRotates,
    /// People put the new one into every hook, and enable those that are on probation.
    HooksGetPassword,
}

/// What people do in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    pub(crate) place: Place,
    pub(crate) branch: String,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A commit more; the branch is made where it is not there.
    Push,
    /// A pull request of the branch is opened.
    Open,
    Comment,
    Complete,
    Abandon,
}

/// What happens in which second.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// How long it is, in seconds.
    pub seconds: u32,
    happenings: BTreeMap<u32, Vec<Happening>>,
}

impl Schedule {
    /// A working day: a thousand things that people do from eight to six, and the troubles.
    #[must_use]
    pub fn day() -> Self {
        let at = |hour, minute| hour * HOUR + minute * MINUTE;
        let troubles = [
            (at(9, 30), Happening::Kill { is_stored: false }),
            (at(10, 0), Happening::StoreGoes),
            (at(10, 10), Happening::StoreReturns),
            (at(11, 30), Happening::StoreGoes),
            (at(11, 31), Happening::StoreReturns),
            (at(12, 0), Happening::PasswordRotates),
            (at(12, 30), Happening::HooksGetPassword),
            (at(14, 30), Happening::ThrottlingBegins),
            (at(14, 33), Happening::ThrottlingEnds),
            (at(16, 0), Happening::Kill { is_stored: true }),
        ];
        Self::of(24 * HOUR, at(8, 0)..at(18, 0), 1_000, troubles)
    }

    /// An hour and a half with those troubles that Azure DevOps' retries can bridge.
    #[must_use]
    pub fn short() -> Self {
        let troubles = [
            (10 * MINUTE, Happening::StoreGoes),
            (11 * MINUTE, Happening::StoreReturns),
            (15 * MINUTE, Happening::Kill { is_stored: false }),
            (20 * MINUTE, Happening::Kill { is_stored: true }),
            (40 * MINUTE, Happening::PasswordRotates),
            (45 * MINUTE, Happening::HooksGetPassword),
        ];
        Self::of(90 * MINUTE, 0..HOUR, 150, troubles)
    }

    /// An hour with troubles that are longer than Azure DevOps' retries.
    #[must_use]
    pub fn broken() -> Self {
        let troubles = [
            (5 * MINUTE, Happening::PasswordRotates),
            (10 * MINUTE, Happening::HooksGetPassword),
            (16 * MINUTE, Happening::StoreGoes),
            (24 * MINUTE, Happening::StoreReturns),
            (34 * MINUTE, Happening::ThrottlingBegins),
            (38 * MINUTE, Happening::ThrottlingEnds),
        ];
        Self::of(HOUR, 0..45 * MINUTE, 100, troubles)
    }

    fn of(
        seconds: u32,
        work: std::ops::Range<u32>,
        deeds: usize,
        troubles: impl IntoIterator<Item = (u32, Happening)>,
    ) -> Self {
        let mut draw = Draw(SEED);
        let mut happenings: BTreeMap<u32, Vec<Happening>> = BTreeMap::new();
        for (second, trouble) in troubles {
            let at = happenings.entry(second).or_default();
            let meets_one = matches!(trouble, Happening::Kill { .. });
            at.push(trouble);
            if meets_one {
                // Exactly one event, so that it is known who meets it.
                at.push(Happening::Deed(Deed::push((0, 0), MAIN)));
            }
        }
        let mut free: Vec<u32> = work.filter(|it| !happenings.contains_key(it)).collect();
        let mut seconds_of_deeds: Vec<u32> = (0..deeds.min(free.len()))
            .map(|_| free.swap_remove(draw.below(free.len())))
            .collect();
        seconds_of_deeds.sort_unstable();
        let mut team = Team::default();
        for second in seconds_of_deeds {
            let deed = Happening::Deed(team.deed(&mut draw));
            happenings.insert(second, vec![deed]);
        }
        Self {
            seconds,
            happenings,
        }
    }

    /// What happens in a second.
    pub(crate) fn at(&self, second: u32) -> &[Happening] {
        self.happenings.get(&second).map_or(&[], Vec::as_slice)
    }

    /// What goes wrong, and when.
    pub fn troubles(&self) -> impl Iterator<Item = (u32, &Happening)> {
        let all = self.happenings.iter();
        all.flat_map(|(second, all)| all.iter().map(move |it| (*second, it)))
            .filter(|(_, it)| !matches!(it, Happening::Deed(_)))
    }
}

impl Deed {
    fn push(place: Place, branch: &str) -> Self {
        Self {
            place,
            branch: branch.to_owned(),
            what: What::Push,
        }
    }
}

/// What the team has begun so far: branches that are worked on, each with whether it has a pull request.
#[derive(Default)]
struct Team {
    open: Vec<(Place, String, bool)>,
    begun: usize,
}

impl Team {
    /// The next thing that somebody does.
    fn deed(&mut self, draw: &mut Draw) -> Deed {
        let what = draw.below(100);
        let of = |has: bool| move |it: &(Place, String, bool)| it.2 == has;
        match what {
            0..25 => self.begin(draw),
            25..55 => match self.pick(draw, |_| true) {
                Some(at) => self.at(at, What::Push),
                None => self.begin(draw),
            },
            55..65 => Deed::push(place(draw), MAIN),
            65..80 => match self.pick(draw, of(false)) {
                Some(at) => {
                    self.open[at].2 = true;
                    self.at(at, What::Open)
                }
                None => self.begin(draw),
            },
            _ => match self.pick(draw, of(true)) {
                Some(at) => {
                    let what = [What::Comment, What::Complete, What::Complete, What::Abandon];
                    let deed = self.at(at, what[draw.below(what.len())]);
                    if deed.what != What::Comment {
                        self.open.swap_remove(at);
                    }
                    deed
                }
                None => self.begin(draw),
            },
        }
    }

    fn begin(&mut self, draw: &mut Draw) -> Deed {
        self.begun += 1;
        let (place, branch) = (place(draw), format!("topic/{}", self.begun));
        self.open.push((place, branch.clone(), false));
        Deed::push(place, &branch)
    }

    fn at(&self, at: usize, what: What) -> Deed {
        let (place, branch, _) = self.open[at].clone();
        Deed {
            place,
            branch,
            what,
        }
    }

    /// Any branch that is as wanted.
    fn pick(
        &self,
        draw: &mut Draw,
        wanted: impl Fn(&(Place, String, bool)) -> bool,
    ) -> Option<usize> {
        let found: Vec<usize> = (0..self.open.len())
            .filter(|at| wanted(&self.open[*at]))
            .collect();
        (!found.is_empty()).then(|| found[draw.below(found.len())])
    }
}

fn place(draw: &mut Draw) -> Place {
    (draw.below(PROJECTS.len()), draw.below(PROJECTS[0].1.len()))
}

/// Numbers that follow from a seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of so many, from 0 on; 0 where there are none.
    fn below(&mut self, many: usize) -> usize {
        let many = u64::try_from(many).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % many).unwrap_or_default()
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Deed(_) => "somebody works",
            Self::StoreGoes => "DynamoDB answers nothing but 500",
            Self::StoreReturns => "DynamoDB answers again",
            Self::ThrottlingBegins => {
                "no concurrency is left: the service answers 429 for the function"
            }
            Self::ThrottlingEnds => "there is concurrency again",
            Self::Kill { is_stored: false } => "a process dies at a delivery: a 502",
            Self::Kill { is_stored: true } => {
                "a process dies after storing a delivery, before answering: a 502"
            }
            Self::PasswordRotates => "the webhook password is changed",
            Self::HooksGetPassword => {
                "people put the new password into the hooks, and enable those on probation"
            }
        })
    }
}

/// A second of a schedule as a time of day.
#[must_use]
pub fn clock(second: u32) -> String {
    format!("{:02}:{:02}", second / HOUR, second % HOUR / MINUTE)
}
