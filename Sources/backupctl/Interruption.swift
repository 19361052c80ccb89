import BlockingWork
import Dispatch

#if canImport(Glibc)
  import Glibc
#endif

/// SIGINT and SIGTERM as a way out: the first cancels, so that a command can clean up; the second ends the process.
enum Interruption {
  static func cancellation() -> Cancellation {
    let cancellation = Cancellation()
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: DispatchQueue(label: "io.backupd.signals"))
      source.setEventHandler {
        // The handler holds its source: it is there for as long as the process.
        withExtendedLifetime(source) {
          if cancellation.isCancelled {
            Screen.leave()
            _exit(128 + number)
          }
          cancellation.cancel()
        }
      }
      source.resume()
    }
    return cancellation
  }
}
