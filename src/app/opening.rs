//! When the data plane opens, and when it closes again: the schema decides, and everything a caller needs comes first.

use super::{
    Rooms, backups, forwards, loops,
    schema::{self, AGAIN, Said, Standing},
    settings, tellings, traces,
    whole::Whole,
};
use crate::{
    config::Config,
    http::Phase,
    identity::{IdentityError, Issued},
    inbox::Inbox,
    migrate::Runner,
    model::TenantId,
    partitions,
    store::{StoreError, door::error::AsStoreError},
    worker::Worker,
};

/// Follows the schema for as long as the service runs.
pub struct Opening {
    rooms: Rooms,
    config: Config,
    runner: Runner,
    said: Said,
    /// Whether the operator's credential is there.
    is_accessible: bool,
    /// Whether this node has served: from then on it only looks, and undoes nothing that a person does.
    has_served: bool,
    /// The loops at work.
    shift: Option<Worker>,
}

impl Opening {
    pub fn new(rooms: Rooms, config: Config, runner: Runner) -> Self {
        Self { rooms, config, runner, said: Said::default(), is_accessible: false, has_served: false, shift: None }
    }

    /// Brings the schema as far as a start may and enters the phase that follows. On a fresh embedded database a
    /// credential to begin with is made and answered.
    pub async fn begin(&mut self, is_embedded: bool) -> anyhow::Result<Option<Issued>> {
        schema::reach(&self.rooms.store, &mut self.said).await?;
        let standing = schema::settle(&self.runner, &self.rooms.edge.metrics, &mut self.said).await?;
        match standing {
            Standing::Fits => {
                let first = self.prepare(is_embedded).await?;
                self.serve();
                Ok(first)
            }
            Standing::Waits(pending) => {
                // Administration is open from here on, so whoever is to use it must be known.
                let first = match self.credentials(is_embedded).await {
                    Ok(first) => first,
                    Err(error) => {
                        tracing::warn!(%error, "no credential could be made before the migrations are run");
                        None
                    }
                };
                self.rooms.edge.lifecycle.enter(Phase::Maintenance { pending });
                Ok(first)
            }
        }
    }

    /// Looks again and again, until the service stops.
    pub async fn follow(mut self) {
        while !self.rooms.edge.lifecycle.is_draining() {
            tokio::time::sleep(AGAIN).await;
            let is_serving = self.rooms.edge.lifecycle.phase() == Phase::Serving;
            match self.look().await {
                Ok(Some(Standing::Fits)) if !is_serving => match self.prepare(false).await {
                    Ok(_) => self.serve(),
                    Err(error) => tracing::error!(%error, "the work after the migrations could not begin"),
                },
                Ok(Some(Standing::Waits(pending))) => self.close(pending).await,
                Ok(_) => {}
                Err(error) => {
                    if self.said.is_news(error.to_string()) {
                        tracing::error!(%error, "the schema could not be looked at");
                    }
                }
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<Option<Standing>> {
        if self.has_served {
            return match schema::look(&self.runner, &self.rooms.store).await {
                // A database that is away is told of by another check.
                Err(error) if error.is_temporary() => Ok(None),
                looked => Ok(looked?),
            };
        }
        let standing = schema::settle(&self.runner, &self.rooms.edge.metrics, &mut self.said).await?;
        if standing != Standing::Fits && !self.is_accessible {
            // Tried before, and said so.
            let _ = self.credentials(false).await;
        }
        Ok(Some(standing))
    }

    /// What must be there before anybody is answered: the months of the ledger and the credentials. Waits for a
    /// database that went away meanwhile.
    async fn prepare(&mut self, is_embedded: bool) -> Result<Option<Issued>, IdentityError> {
        loop {
            let prepared = match self.ledger().await {
                Ok(()) => self.credentials(is_embedded).await,
                Err(error) => Err(error.into()),
            };
            match prepared {
                Err(error) if error.as_store_error().is_some_and(StoreError::is_temporary) => {
                    if self.said.is_news(error.to_string()) {
                        tracing::warn!(%error, "the database is not there yet; trying again");
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                other => return other,
            }
        }
    }

    async fn ledger(&self) -> Result<(), StoreError> {
        let (store, now, metrics) = (&self.rooms.store, self.rooms.clock.now(), &self.rooms.edge.metrics);
        let made = partitions::run::make_ahead(store, now, self.config.partitions.scheme, metrics).await;
        made.map(drop).or_else(only_read)?;
        // So that nothing is answered that somebody has switched off.
        self.rooms.flags.refresh().await?;
        // So that every backup has it: one without could not tell whom an erasure since was about.
        store.signing_key("erasure").await.map(drop).or_else(only_read)?;
        // So that no answer has to fall back to the beginning of time.
        self.rooms.xapi.reader.consistent_through(TenantId::DEFAULT).await.map(drop).or_else(only_read)
    }

    async fn credentials(&mut self, is_embedded: bool) -> Result<Option<Issued>, IdentityError> {
        let identity = &self.rooms.identity;
        if let Some(credential) = &self.config.service.bootstrap_credential {
            match identity.ensure_bootstrap(credential).await {
                Err(IdentityError::Store(error)) => only_read(error)?,
                done => drop(done?),
            }
        }
        let first = if is_embedded { identity.first_credential().await? } else { None };
        self.is_accessible = true;
        Ok(first)
    }

    /// The loops begin, and the doors open.
    fn serve(&mut self) {
        let Rooms { store, cold, clock, edge, worker, relay, archive, audit, erasures, .. } = &self.rooms;
        let shift = worker.shift();
        let whole = Whole::new(store, archive, audit, clock, &edge.metrics);
        let patience = settings::silence(&self.config);
        let (ingest, authority) = (&self.rooms.xapi.ingest, settings::own_authority(&self.config));
        let watched = (&edge.metrics, &edge.traces);
        for work in loops::all(cold, clock, watched, relay.clone(), patience, ingest, authority) {
            shift.spawn(work);
        }
        let kafka = &self.config.kafka;
        shift.spawn(loops::months(store, clock, &edge.metrics, self.config.partitions.scheme));
        if !edge.traces.is_off() {
            shift.spawn(traces::forgetting(store, clock));
        }
        shift.spawn(loops::audit(audit));
        shift.spawn(loops::rollouts(store, &self.rooms.migrations));
        shift.spawn(tellings::tellings(&self.rooms.teller));
        shift.spawn(loops::validate(&whole, &self.rooms.migrations));
        shift.spawn(loops::lifecycle(archive, settings::schedule(&self.config), !kafka.brokers.is_empty()));
        if let Some(every) = self.config.retention.every {
            shift.spawn(loops::retention(&self.rooms.api.retention, archive, every));
        }
        shift.spawn(loops::erasures(erasures));
        shift.spawn(loops::law(erasures, &self.rooms.api.retention, &edge.metrics));
        shift.spawn(loops::moves(&self.rooms.residency));
        forwards::loops(&self.rooms.forwarder).into_iter().for_each(|work| shift.spawn(work));
        for work in self.rooms.backups.iter().flat_map(|keeper| backups::loops(keeper, store, &edge.metrics)) {
            shift.spawn(work);
        }
        let forgetting = loops::Forgetting::new(cold, ingest);
        shift.accompany(|stop| forgetting.run(stop));
        if !kafka.brokers.is_empty() {
            let inbox = Inbox::new(store.clone(), kafka.clone(), edge.metrics.clone(), clock.clone());
            shift.accompany(|stop| inbox.run(stop));
        }
        self.shift = Some(shift);
        self.has_served = true;
        edge.lifecycle.enter(Phase::Serving);
    }

    /// The doors close, and the loops end: what they were written for is not there any more.
    async fn close(&mut self, pending: std::sync::Arc<[String]>) {
        let lifecycle = &self.rooms.edge.lifecycle;
        if lifecycle.phase() == Phase::Serving {
            tracing::error!(?pending, "the schema was changed beneath this node, which stops serving");
        }
        lifecycle.enter(Phase::Maintenance { pending });
        if let Some(shift) = self.shift.take() {
            shift.stop(self.config.shutdown.hard).await;
        }
    }
}

/// A database that takes no writes can still be read: what a start would have written there is left out.
fn only_read(error: StoreError) -> Result<(), StoreError> {
    if !error.is_read_only() {
        return Err(error);
    }
    tracing::warn!(%error, "the database takes no writes: it is read only");
    Ok(())
}
