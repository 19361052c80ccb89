import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

// What PostgreSQL calls for each WAL segment. It must begin in no time, so it links nothing but the C library and a
// version number, and hands the work on.

/// Ends recovery instead of letting PostgreSQL take an error for the end of WAL: its `restore_command` treats 1 to 125
/// as "no such segment".
/// - SeeAlso: PostgreSQL source, `xlogarchive.c`, `RestoreArchivedFile`; `wait_error.c`.
let recoveryMustStop: CInt = 126

let usage = """
  usage: backupd-wal push --cluster NAME [--socket PATH] FILE
         backupd-wal fetch --config FILE --cluster NAME --until TLI/LSN NAME DESTINATION
         backupd-wal --version | --help

  push is an archive_command: it hands a WAL file to the daemon and ends with 0 once it is durable, otherwise with 1.
  fetch is a restore_command: it writes a WAL segment or history file from the repository to DESTINATION.
  It ends with 0 where that is done, with 1 where the file is proven absent, with 126 for everything else.
  """

/// Becomes `backupctl wal fetch` with the same arguments, the program beside this one. Returns only where it cannot.
func fetch(_ arguments: ArraySlice<String>) -> CInt {
  guard let own = realpath("/proc/self/exe", nil), let slash = strrchr(own, 0x2F) else {
    complain("could not find the directory of this program", detail: systemReason())
    return recoveryMustStop
  }
  slash.pointee = 0
  let program = String(cString: own) + "/backupctl"
  var words: [UnsafeMutablePointer<CChar>?] = (["backupctl", "wal", "fetch"] + arguments).map { strdup($0) }
  words.append(nil)
  execv(program, words)
  complain(
    "could not start \"\(program)\"", detail: systemReason(),
    hint: "Keep backupctl in the directory of backupd-wal, and let the server's user execute it.")
  return recoveryMustStop
}

func main() -> CInt {
  let arguments = CommandLine.arguments.dropFirst()
  switch arguments.first {
  case "fetch": return fetch(arguments.dropFirst())
  case "push": return Push.run(arguments.dropFirst())
  case "--version":
    print("backupd-wal \(ProgramVersion.text)")
    return 0
  case "--help", "-h":
    print(usage)
    return 0
  default:
    complain(arguments.first.map { "there is no command \"\($0)\"" } ?? "no command given")
    tell(usage + "\n")
    return recoveryMustStop
  }
}

exit(main())
