//! What the loop does for daemons: accept, obey, answer.

use std::io;

use crate::supervisor::clock;
use crate::supervisor::connection::{Connection, Input, Note, Said};
use crate::supervisor::detach::own_pid;
use crate::supervisor::job::Job;
use crate::supervisor::protocol::{FromSupervisor, PROTOCOL_VERSION, StartProcess, ToSupervisor};
use crate::supervisor::server::{Leave, MESSAGES_PER_TURN, QUIT_AFTER, STRANGERS_MAX, Supervisor};
use crate::supervisor::spool::Line;
use crate::supervisor::watch::Source;

/// How much of what a connection had sent was carried out.
#[derive(Debug)]
enum Obeyed {
    /// All that is here.
    All,
    /// As much as was allowed.
    Some,
    /// All, and nothing follows; with the reason when it was not simply closed.
    End(Option<String>),
}

impl Supervisor {
    pub(super) fn on_connect(&mut self) {
        let stream = match self.setup.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                tracing::error!(%error, "cannot accept a daemon");
                return;
            }
        };
        let allowed = rustix::net::sockopt::socket_peercred(&stream)
            .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid());
        if !allowed {
            tracing::warn!("a connection of another user was closed");
            return;
        }
        let number = self.next_number();
        let added = Connection::new(stream).and_then(|connection| {
            self.setup.watch.add(&connection, Source::Connection(number))?;
            Ok(connection)
        });
        match added {
            Ok(connection) => drop(self.connections.insert(number, connection)),
            Err(error) => tracing::error!(%error, "cannot watch a daemon"),
        }
        let strangers = self.connections.keys().filter(|other| Some(**other) != self.daemon);
        let strangers: Vec<u64> = strangers.copied().collect();
        if strangers.len() > STRANGERS_MAX {
            self.disconnect(strangers[0], Some("too many connections"));
        }
    }

    pub(super) fn on_input(&mut self, number: u64) {
        match self.obey_input(number, MESSAGES_PER_TURN) {
            Obeyed::All => {}
            Obeyed::Some => drop(self.unread.insert(number)),
            Obeyed::End(why) => self.disconnect(number, why.as_deref()),
        }
    }

    /// Carries out what a connection has sent.
    fn obey_input(&mut self, number: u64, messages_max: usize) -> Obeyed {
        for _ in 0..messages_max {
            let Some(connection) = self.connections.get_mut(&number) else { return Obeyed::All };
            match connection.next() {
                Input::Nothing => return Obeyed::All,
                Input::End(why) => return Obeyed::End(why),
                Input::Message(ToSupervisor::Hello { protocol }) => self.on_hello(number, protocol),
                Input::Message(message) if self.daemon == Some(number) => self.on_message(message),
                Input::Message(_) => {
                    return Obeyed::End(Some("it did not begin with Hello".to_owned()));
                }
            }
        }
        Obeyed::Some
    }

    /// Carries out what a daemon has sent so far, and takes no more of it.
    pub(super) fn last_input(&mut self, number: u64) {
        if let Some(connection) = self.connections.get(&number)
            && let Err(error) = connection.refuse_input()
        {
            tracing::debug!(%error, "the daemon has gone already");
        }
        // What comes after its last order does not matter any more.
        drop(self.obey_input(number, usize::MAX));
    }

    /// A daemon takes over from the one before it, all of whose orders are carried out first: what
    /// this answer does not name was never ordered.
    fn on_hello(&mut self, number: u64, protocol: u32) {
        if let Some(former) = self.daemon
            && former != number
            && protocol == PROTOCOL_VERSION
        {
            self.last_input(former);
            if let Some(connection) = self.connections.get_mut(&former) {
                connection.say(&FromSupervisor::Replaced);
            }
            self.flush_connection(former);
            self.disconnect(former, Some("another daemon has taken over"));
        }
        let running = self.jobs.values().filter(|job| self.ids.contains_key(&job.id));
        let hello = FromSupervisor::Hello {
            protocol: PROTOCOL_VERSION,
            pid: own_pid(),
            instance: self.setup.mark.instance().to_owned(),
            running: running.map(Job::running).collect(),
        };
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.say(&hello);
        if protocol != PROTOCOL_VERSION {
            self.flush_connection(number);
            self.disconnect(number, Some("it speaks another version of the protocol"));
            return;
        }
        for id in self.setup.spool.ids() {
            connection.note(Note::Ending(id));
        }
        connection.note(Note::Ready);
        self.daemon = Some(number);
        tracing::info!("a daemon has connected");
    }

    fn on_message(&mut self, message: ToSupervisor) {
        match message {
            ToSupervisor::Hello { .. } => {}
            ToSupervisor::Start(process) => self.on_start(&process),
            ToSupervisor::Stop { id, force } => self.on_stop(&id, force),
            ToSupervisor::Recorded { id } => {
                if self.setup.spool.recorded(&id) {
                    self.known.add(&id);
                }
            }
            ToSupervisor::Output { id } => {
                let Some(number) = self.daemon else { return };
                let Some(connection) = self.connections.get_mut(&number) else { return };
                if !connection.asks_output(id) {
                    self.disconnect(number, Some("it asks for output faster than it reads"));
                }
            }
            ToSupervisor::Quit => self.on_quit(),
        }
    }

    fn on_start(&mut self, process: &StartProcess) {
        let id = &process.id;
        if matches!(self.leave, Leave::Quit { .. }) {
            return;
        }
        if let Some(job) = self.ids.get(id).and_then(|number| self.jobs.get(number)) {
            self.say(&FromSupervisor::Started(job.running()));
        } else if self.setup.spool.contains(id) {
            self.note(Note::Ending(id.as_str().into()));
        } else if self.known.contains(id) {
            self.say(&FromSupervisor::Known { id: id.clone() });
        } else {
            self.start(process);
        }
    }

    fn on_stop(&mut self, id: &str, force: bool) {
        let Some(number) = self.ids.get(id).copied() else { return };
        // It may have ended before the order came.
        self.on_exit(number);
        let Some(job) = self.jobs.get(&number) else { return };
        let (phase, step) = job.phase.on_stop(clock::now(), job.kill_grace, force);
        self.enter(number, phase);
        self.steps.push((number, step));
    }

    fn on_quit(&mut self) {
        tracing::info!(running = self.ids.len(), "told to quit");
        self.leave = Leave::Quit { at_latest: clock::now() + QUIT_AFTER };
        let ids: Vec<String> = self.ids.keys().cloned().collect();
        for id in ids {
            self.on_stop(&id, true);
        }
    }

    pub(super) fn on_spool(&mut self) {
        if let Err(errno) = rustix::io::read(&self.setup.spool_wake, &mut [0; 8]) {
            tracing::warn!(%errno, "cannot read the spool's signal");
        }
        for id in self.setup.spool.committed(clock::now()) {
            self.note(Note::Ending(id));
        }
    }

    pub(super) fn say(&mut self, message: &FromSupervisor) {
        if let Some(connection) = self.daemon.and_then(|daemon| self.connections.get_mut(&daemon)) {
            connection.say(message);
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        if let Some(connection) = self.daemon.and_then(|daemon| self.connections.get_mut(&daemon)) {
            connection.note(note);
        }
    }

    pub(super) fn flush(&mut self) {
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        for number in numbers {
            self.flush_connection(number);
        }
    }

    pub(super) fn flush_connection(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let (spool, jobs, ids) = (&self.setup.spool, &self.jobs, &self.ids);
        let flushed = connection.flush(|said| match said {
            Said::Note(Note::Ready) => serde_json::to_string(&FromSupervisor::Ready).ok(),
            Said::Note(Note::Ending(id)) => match spool.line(id) {
                Line::Ready(line) => Some(line),
                Line::NotYet => None,
                Line::Gone => Some(String::new()),
            },
            Said::Output(id) => {
                let job = ids.get(id).and_then(|number| jobs.get(number));
                let output = match job {
                    Some(job) => Some(job.output()),
                    None => spool.output(id),
                };
                let answer = FromSupervisor::Output { id: id.to_owned(), output };
                serde_json::to_string(&answer).ok()
            }
        });
        let full = connection.is_full();
        let watched = if full == connection.writing {
            Ok(())
        } else {
            connection.writing = full;
            self.setup.watch.writing(&*connection, Source::Connection(number), full)
        };
        if let Err(error) = flushed.and(watched) {
            // What it had sent before its end is still carried out.
            tracing::info!(%error, "a daemon does not listen any more");
            self.last_input(number);
            self.disconnect(number, None);
        }
    }

    pub(super) fn disconnect(&mut self, number: u64, why: Option<&str>) {
        let Some(connection) = self.connections.remove(&number) else { return };
        if let Err(error) = self.setup.watch.remove(&connection) {
            tracing::warn!(%error, "cannot stop watching a connection");
        }
        if let Some(why) = why {
            tracing::warn!(why, "a connection was closed");
        }
        if self.daemon == Some(number) {
            self.daemon = None;
            tracing::info!(running = self.ids.len(), "the daemon has gone");
        }
    }
}
