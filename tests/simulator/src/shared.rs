//! What the server's tasks share: the world under its lock, the clock, the sender's client and counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::Config;
use crate::clock::Clock;
use crate::sender;
use crate::state::World;
use crate::state::seed::{self, TokenValues};

/// How many deliveries are on the wire at a time.
const DELIVERIES_AT_ONCE: usize = 64;

pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) clock: Clock,
    pub(crate) client: reqwest::Client,
    pub(crate) config: Config,
    /// `http://127.0.0.1:{port}`.
    pub(crate) base: String,
    pub(crate) tokens: TokenValues,
    pub(crate) on_the_wire: Semaphore,
    /// Notifications that are queued, on the wire, or waiting for one of the quick retries.
    pub(crate) pending: AtomicUsize,
    /// Notifications that wait for a retry of their subscription's probation.
    pub(crate) on_probation: AtomicUsize,
    pub(crate) closed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(config: Config, base: String, client: reqwest::Client) -> Self {
        let clock = Clock::new(config.time_scale);
        let tokens = TokenValues::generate();
        let urls = config.public_url.as_deref().unwrap_or(&base);
        let world = seed::world(
            urls,
            &tokens,
            config.publish_lag,
            config.keep_records,
            clock.now(),
        );
        Self {
            world: Mutex::new(world),
            clock,
            client,
            base,
            tokens,
            on_the_wire: Semaphore::new(DELIVERIES_AT_ONCE),
            pending: AtomicUsize::new(0),
            on_probation: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            config,
        }
    }

    /// Looks at the world or changes it, and sends off what that queued.
    pub(crate) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut world = self.lock();
        let result = act(&mut world, self.clock.now());
        let jobs = std::mem::take(&mut world.outbox);
        // Counted before the lock is released: whoever waits for quiet must not slip in between.
        self.pending.fetch_add(jobs.len(), Ordering::SeqCst);
        drop(world);
        for job in jobs {
            tokio::spawn(sender::deliver(Arc::clone(self), job));
        }
        result
    }

    /// Only looks.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock())
    }

    /// The default world again. Tokens stay, since they were handed out.
    pub(crate) fn reset(&self) {
        let urls = self.config.public_url.as_deref().unwrap_or(&self.base);
        let config = &self.config;
        self.clock.set_skew_millis(0);
        self.clock.set_scale(config.time_scale);
        *self.lock() = seed::world(
            urls,
            &self.tokens,
            config.publish_lag,
            config.keep_records,
            self.clock.now(),
        );
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, World> {
        // A panic in one request must not take all the others down with it.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
