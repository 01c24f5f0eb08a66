//! As whom the server's programs run, and whose its folders are.
//!
//! PostgreSQL refuses root. As root we therefore start its programs as the owner of the database folder, or for a new
//! one as `postgres` or `nobody`. As anybody else they run as that same user. Users are read from `/etc/passwd`, which
//! holds the system's own users on Linux and macOS alike.

use std::{
    fs, io,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{
    error::{EmbeddedError, io_at},
    process,
};

/// The user for child processes; `None` when that is simply us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunAs(Option<User>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

impl RunAs {
    /// Chooses the user for the database in `cluster`, which need not exist yet.
    pub fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let owner = match fs::metadata(cluster) {
            Ok(found) => Some((found.uid(), found.gid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_at("look at", cluster)(error)),
        };
        let me = process::effective_uid();
        match owner {
            Some((uid, _)) if me != 0 && uid != me => {
                Err(EmbeddedError::OtherOwner { folder: cluster.to_owned(), owner: uid })
            }
            _ if me != 0 => Ok(Self(None)),
            Some((uid, gid)) if uid != 0 => Ok(Self(Some(User { name: format!("with id {uid}"), uid, gid }))),
            _ => {
                let passwd = fs::read_to_string("/etc/passwd").map_err(io_at("read", "/etc/passwd"))?;
                let user = ["postgres", "_postgres", "nobody"].iter().find_map(|name| find_user(&passwd, name));
                user.map(|user| Self(Some(user))).ok_or(EmbeddedError::NoUnprivilegedUser)
            }
        }
    }

    /// A command for `program` as this user, deaf to our environment and in a process group of its own: a Ctrl-C at
    /// the terminal is ours to handle, and must not stop the database under requests we still answer.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").process_group(0);
        if let Some(user) = &self.0 {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    /// Gives `path` to this user.
    pub fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        match &self.0 {
            Some(user) => chown(path, Some(user.uid), Some(user.gid)).map_err(io_at("give away", path)),
            None => Ok(()),
        }
    }

    /// Gives a whole tree to this user, for a database that came back from a backup as root's.
    pub fn own_tree(&self, path: &Path) -> Result<(), EmbeddedError> {
        if self.0.is_none() {
            return Ok(());
        }
        self.own(path)?;
        for entry in fs::read_dir(path).map_err(io_at("list", path))? {
            let entry = entry.map_err(io_at("list", path))?;
            if entry.file_type().map_err(io_at("look at", entry.path()))?.is_dir() {
                self.own_tree(&entry.path())?;
            } else if !entry.path().is_symlink() {
                self.own(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Proves that this user can come to `folder`, or names the folder on the way that is closed to it. What is not
    /// there yet counts as open.
    pub fn check_reach(&self, folder: &Path) -> Result<(), EmbeddedError> {
        let Some(user) = &self.0 else { return Ok(()) };
        let way: Vec<&Path> = folder.ancestors().collect();
        for step in way.into_iter().rev() {
            match fs::metadata(step) {
                Ok(found) if may_enter(found.permissions().mode(), (found.uid(), found.gid()), user) => {}
                Ok(_) => return Err(EmbeddedError::NotReachable { user: user.name.clone(), folder: step.to_owned() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(io_at("look at", step)(error)),
            }
        }
        Ok(())
    }

    /// The way into `folder`, which must be there, for one child process of this user.
    pub fn door(&self, folder: &Path) -> Result<Door, EmbeddedError> {
        match self.check_reach(folder) {
            Ok(()) => Ok(Door { entry: folder.to_owned(), name: folder.to_owned(), held: None }),
            Err(EmbeddedError::NotReachable { .. }) if cfg!(target_os = "linux") => {
                let held = fs::File::open(folder).map_err(io_at("open", folder))?;
                let entry = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
                Ok(Door { entry, name: PathBuf::from("/proc/self/cwd"), held: Some(held) })
            }
            Err(error) => Err(error),
        }
    }
}

/// How a child process gets into a folder of its own. Root's home, where many a service is tried first, is closed to
/// everybody else; there Linux still lets a process in through a folder that its parent holds open, and it then
/// knows the folder as the one it works in.
#[derive(Debug)]
pub(super) struct Door {
    /// What the child is told to change into.
    pub entry: PathBuf,
    /// By which path the child finds the folder, as long as it stays there.
    pub name: PathBuf,
    held: Option<fs::File>,
}

impl Door {
    /// Whether the folder has one and the same path for everybody.
    pub fn is_open(&self) -> bool {
        self.held.is_none()
    }
}

/// The rule of the permission bits: the first class that fits decides, even when a later one would allow.
fn may_enter(mode: u32, (uid, gid): (u32, u32), user: &User) -> bool {
    let bit = if uid == user.uid {
        0o100
    } else if gid == user.gid {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        // macOS writes nobody's id as -2, which the kernel reads as unsigned
        let number = |text: &str| text.parse::<u32>().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned));
        let user = User { name: name.to_owned(), uid: number(uid)?, gid: number(gid)? };
        (found && user.uid != 0).then_some(user)
    })
}

#[cfg(test)]
impl RunAs {
    /// A user who owns nothing.
    pub fn stranger() -> Self {
        Self(Some(User { name: "nobody".into(), uid: 65_534, gid: 65_534 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\npostgresql:x:7:7::/:/bin/sh\n\
                          postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\nbroken\nnobody:*:-2:-2::/:/bin/false\n";

    #[test]
    fn users_are_found_by_their_whole_name() {
        let user = find_user(PASSWD, "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert_eq!(find_user(PASSWD, "nobody").unwrap().uid, u32::MAX - 1);
        assert_eq!(find_user(PASSWD, "post"), None);
        assert_eq!(find_user(PASSWD, "root"), None, "root is never an unprivileged user");
    }

    #[test]
    fn the_first_fitting_class_of_permission_bits_decides() {
        let user = User { name: "postgres".into(), uid: 101, gid: 104 };
        assert!(may_enter(0o755, (0, 0), &user));
        assert!(!may_enter(0o700, (0, 0), &user));
        assert!(may_enter(0o700, (101, 0), &user));
        assert!(may_enter(0o710, (0, 104), &user));
        assert!(!may_enter(0o701, (0, 104), &user), "the group's bits hide the others'");
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        let inner = closed.join("inner");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = RunAs::stranger();
        let refused = stranger.check_reach(&inner).unwrap_err();
        assert!(matches!(&refused, EmbeddedError::NotReachable { folder, .. } if *folder == closed), "{refused}");
        assert!(RunAs(None).check_reach(&inner).is_ok());
        assert!(RunAs(None).door(&inner).unwrap().is_open());
        assert!(stranger.check_reach(&folder.path().join("not/there/yet")).is_ok());
    }

    #[tokio::test]
    async fn children_know_nothing_of_our_environment_and_lead_their_own_group() {
        let script = "kill -s 0 -- -$$ && test -z \"$HOME$USER$PGDATA\" && test \"$LC_ALL\" = C";
        let mut child = RunAs(None).command(Path::new("/bin/sh"));
        assert!(child.args(["-c", script]).status().await.unwrap().success());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_folder_held_open_is_entered_behind_a_closed_door() {
        let folder = tempfile::tempdir().unwrap();
        let inner = fs::canonicalize(folder.path()).unwrap().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("found"), "").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = RunAs::stranger();
        let door = stranger.door(&inner).unwrap();
        assert!(!door.is_open());
        // only root may become a stranger; anybody else shows that the path itself leads there
        let who = if process::effective_uid() == 0 { stranger } else { RunAs(None) };
        let mut child = who.command(Path::new("/bin/sh"));
        child.arg("-c").arg(format!("test -e {}/found", door.name.display())).current_dir(&door.entry);
        assert!(child.status().await.unwrap().success());
    }
}
