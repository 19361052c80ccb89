import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

// What PostgreSQL calls for each WAL segment. It must begin in no time, so it links nothing but the C library and a
// version number, and hands the work on.

let usage = """
  usage: backupd-wal push --cluster NAME [--socket PATH] FILE
         backupd-wal fetch --config FILE --cluster NAME (--until TLI/LSN | --standby) [--without STORE]…
                           [--store STORE] NAME DESTINATION
         backupd-wal --version | --help

  push is an archive_command: it hands a WAL file to the daemon and ends with 0 once it is durable, otherwise with 1.
  fetch is a restore_command: it writes a WAL segment or history file from the repository to DESTINATION.
  It ends with 0 where that is done, with 1 where the file is proven absent, with 126 for everything else; for a standby,
  which asks again, with 1 for everything else.
  """

func main() -> CInt {
  let arguments = CommandLine.arguments.dropFirst()
  switch arguments.first {
  case "fetch": return Fetch.run(arguments.dropFirst())
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
    return Fetch.recoveryMustStop
  }
}

exit(main())
