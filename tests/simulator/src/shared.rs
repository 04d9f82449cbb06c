//! What the server's tasks share: the world under its lock, the clock, the sender's client.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::Config;
use crate::clock::Clock;
use crate::state::World;
use crate::state::seed::{self, TokenValues};

pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) client: reqwest::Client,
    pub(crate) config: Config,
    /// `http://127.0.0.1:{port}`.
    pub(crate) base: String,
    pub(crate) tokens: TokenValues,
    /// Requests of the sender that are on the wire.
    pub(crate) under_way: AtomicUsize,
    /// Told after every change of the world or the clock, for those who wait for one.
    pub(crate) changes: watch::Sender<()>,
    pub(crate) closed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(config: Config, base: String, client: reqwest::Client) -> Self {
        let clock = Arc::new(Clock::new(config.time_scale));
        let tokens = TokenValues::generate();
        let urls = &base;
        let world = seed::world(urls, &tokens, &config, &clock);
        Self {
            world: Mutex::new(world),
            clock,
            client,
            base,
            tokens,
            under_way: AtomicUsize::new(0),
            changes: watch::Sender::new(()),
            closed: AtomicBool::new(false),
            config,
        }
    }

    /// Looks at the world or changes it, and tells whoever waits for a change.
    pub(crate) fn alter<T>(&self, act: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let result = act(&mut self.lock(), self.clock.now());
        self.changed();
        result
    }

    /// Whoever waits for a change looks again.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Only looks.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock())
    }

    /// The default world again. Tokens stay, since they were handed out.
    pub(crate) fn reset(&self) {
        let urls = &self.base;
        self.clock.set_skew_millis(0);
        self.clock.set_scale(self.config.time_scale);
        let world = seed::world(urls, &self.tokens, &self.config, &self.clock);
        self.alter(|old, _| *old = world);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, World> {
        // A panic in one request must not take all the others down with it.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
