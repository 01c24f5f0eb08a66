//! PostgreSQL's own programs: found, asked for their version, and run with a password that no list of processes shows.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{BackupError, stream::Sink};
use crate::store::Endpoint;

/// Where the programs are; nowhere in particular means by their name.
#[derive(Clone, Debug)]
pub struct Tools(pub Option<PathBuf>);

/// A program that is about to run.
pub struct Tool {
    name: &'static str,
    command: Command,
}

/// A child that does not outlive whoever waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Tools {
    /// A program that understands servers of this major version.
    pub fn find(&self, name: &'static str, server: u32) -> Result<Tool, BackupError> {
        let program = self.0.as_ref().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let package = format!("postgresql-client-{server}");
        let output = Command::new(&program).arg("--version").env("LC_ALL", "C").stdin(Stdio::null()).output();
        let said = match output {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
            _ => return Err(BackupError::NoTool { tool: name, package }),
        };
        match major(&said) {
            Some(found) if found < server => Err(BackupError::OldTool { tool: name, found, server, package }),
            Some(_) => {
                let mut command = Command::new(&program);
                command.env("LC_ALL", "C").stdin(Stdio::null());
                Ok(Tool { name, command })
            }
            None => Err(BackupError::Tool { tool: name, status: "its version is not understood".to_owned(), said }),
        }
    }
}

impl Tool {
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Says which database is meant. The password goes by the environment.
    pub fn of(mut self, endpoint: &Endpoint) -> Result<Self, BackupError> {
        let (config, _) = endpoint.resolve("progress_backup")?;
        let unreadable = || BackupError::Refused("the URL of the database to back up cannot be parsed".to_owned());
        let mut url = url::Url::parse(endpoint.url.expose()).map_err(|_| unreadable())?;
        url.set_password(None).map_err(|()| unreadable())?;
        self.command.arg("--dbname").arg(url.as_str()).arg("--no-password");
        if let Some(password) = config.get_password() {
            self.command.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
        }
        if let Some(file) = &endpoint.ca_file {
            self.command.env("PGSSLROOTCERT", file);
        }
        Ok(self)
    }

    /// Runs it and hands on what it writes.
    pub fn copy_into(mut self, sink: &mut Sink) -> Result<(), BackupError> {
        let mut running = self.begin(Stdio::null(), Stdio::piped())?;
        let complaints = listen(&mut running.0);
        let copied = running.0.stdout.take().map_or(Ok(0), |mut out| io::copy(&mut out, sink));
        // A sink that takes nothing more has its own reason, which is told elsewhere.
        if let Err(error) = copied {
            return Err(BackupError::Tool {
                tool: self.name,
                status: "not heard to its end".to_owned(),
                said: error.to_string(),
            });
        }
        self.end(running, complaints)
    }

    /// Runs it over what comes.
    pub fn feed(mut self, from: &mut dyn Read) -> io::Result<Result<(), BackupError>> {
        let mut running = match self.begin(Stdio::piped(), Stdio::null()) {
            Ok(running) => running,
            Err(error) => return Ok(Err(error)),
        };
        let complaints = listen(&mut running.0);
        if let Some(mut into) = running.0.stdin.take() {
            match io::copy(from, &mut into).and_then(|_| into.flush()) {
                // It ended early, and says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                copied => copied?,
            }
        }
        Ok(self.end(running, complaints))
    }

    /// Runs it, and another program over what it writes.
    pub fn pour_into(mut self, other: Self) -> Result<(), BackupError> {
        let mut running = self.begin(Stdio::null(), Stdio::piped())?;
        let complaints = listen(&mut running.0);
        let read = match running.0.stdout.take() {
            Some(mut out) => {
                other.feed(&mut out).map_err(|error| self.failed("not heard to its end", &error.to_string()))?
            }
            None => Ok(()),
        };
        // Whoever ends too early makes the other one fail as well: both are heard.
        match (self.end(running, complaints), read) {
            (Err(one), Err(other)) => Err(BackupError::Refused(format!("{one}; {other}"))),
            (one, other) => one.and(other),
        }
    }

    fn begin(&mut self, stdin: Stdio, stdout: Stdio) -> Result<Running, BackupError> {
        let child = self.command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn();
        child.map(Running).map_err(|error| self.failed("not started", &error.to_string()))
    }

    fn end(&self, mut running: Running, complaints: Complaints) -> Result<(), BackupError> {
        let status = running.0.wait().map_err(|error| self.failed("not waited for", &error.to_string()))?;
        let said = complaints.join().unwrap_or_default();
        if status.success() { Ok(()) } else { Err(self.failed(&status.to_string(), said.trim())) }
    }

    fn failed(&self, status: &str, said: &str) -> BackupError {
        BackupError::Tool { tool: self.name, status: status.to_owned(), said: said.to_owned() }
    }
}

type Complaints = std::thread::JoinHandle<String>;

/// Reads what a program complains of while it runs, so that it never waits for that to be read.
fn listen(child: &mut Child) -> Complaints {
    let errors = child.stderr.take();
    std::thread::spawn(move || {
        let mut said = String::new();
        if let Some(errors) = errors {
            let _ = errors.take(1 << 16).read_to_string(&mut said);
        }
        said
    })
}

/// `pg_dump (PostgreSQL) 15.18 (Debian …)` → 15.
fn major(said: &str) -> Option<u32> {
    let number = said.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_missing_or_too_old_names_its_package() {
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools(Some(folder.path().to_owned()));
        let said = tools.find("pg_dump", 18).err().unwrap().to_string();
        assert!(said.contains("there is no pg_dump here") && said.contains("postgresql-client-18"), "{said}");
        let program = folder.path().join("pg_dump");
        std::fs::write(&program, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.3 (Debian 15.3-1)'\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let said = tools.find("pg_dump", 18).err().unwrap().to_string();
        assert!(said.contains("is of PostgreSQL 15, and the server of 18"), "{said}");
        assert!(tools.find("pg_dump", 15).is_ok());
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(major("pg_basebackup (PostgreSQL) 18.1"), Some(18));
        assert_eq!(major("pg_dump (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major("something else"), None);
    }
}
