internal import BackupModel
internal import ControlProtocol
internal import Logging
internal import Varlink

#if canImport(Glibc)
  import Glibc
#endif

/// Decodes calls, checks rights, asks the handler and encodes what it says.
struct ControlService: VarlinkService {
  let version: String
  let adminGroup: UInt32?
  let handler: any ControlHandler
  let logger: Logger
  private let names = UserNames()

  init(version: String, adminGroup: UInt32?, handler: any ControlHandler, logger: Logger) {
    self.version = version
    self.adminGroup = adminGroup
    self.handler = handler
    self.logger = logger
  }

  var information: VarlinkServiceInformation {
    VarlinkServiceInformation(
      vendor: "backupd", product: "backupd", version: version, url: "https://varlink.org/Interface-Definition")
  }
  var interface: String { ControlInterface.name }
  var interfaceDescription: String { ControlInterface.description }

  func reply(to refusal: VarlinkRefusal) -> VarlinkErrorReply {
    let report =
      switch refusal {
      case .tooManyConnections:
        ErrorReport(
          summary: "could not keep the connection", detail: "Too many connections to the daemon are open.",
          hint: "Close connections that are not needed, then try again.")
      case .malformed(let detail):
        ErrorReport(summary: "cannot understand the message", detail: detail)
      case .messageTooLarge(let limit):
        ErrorReport(summary: "cannot take so large a message", detail: "A call has at most \(limit) bytes.")
      }
    return ControlFailure(.refused, report).reply
  }

  func answer(_ call: VarlinkCall) async throws {
    guard let method = ControlMethod(fullName: call.request.method) else {
      throw VarlinkErrorReply.methodNotFound(call.request.method)
    }
    do {
      if method.isAction { try await act(method, call) } else { try await read(method, call) }
    } catch let error as VarlinkErrorReply {
      throw error
    } catch VarlinkError.callerGone {
      throw VarlinkError.callerGone
    } catch {
      if !(error is CancellationError || error is ControlFailure) {
        logger.error(
          "control call not answered",
          metadata: ["method": "\(method.rawValue)", "error": "\(ErrorReport(error))"])
      }
      throw ControlFailure(error).reply
    }
  }

  private func read(_ method: ControlMethod, _ call: VarlinkCall) async throws {
    switch method {
    case .listRuns: return try await listRuns(call)
    default: _ = try call.request.parameters(as: VarlinkNothing.self)
    }
    switch method {
    case .ping: try await call.reply(handler.ping())
    case .getStatus: try await call.reply(GetStatusReply(status: handler.status()))
    case .listJobs: try await call.reply(ListJobsReply(jobs: handler.jobs()))
    case .getWALStatus: try await call.reply(GetWALStatusReply(clusters: handler.walStatus()))
    case .getMetrics: try await call.reply(GetMetricsReply(text: handler.metrics()))
    case .listRuns, .runJob, .cancelRun, .reload, .pushWAL, .acknowledgeGaps, .testAlerts: break
    }
  }

  private func listRuns(_ call: VarlinkCall) async throws {
    let parameters = try call.request.parameters(as: ListRunsParameters.self)
    let limit = parameters.limit ?? ListRunsParameters.standardLimit
    guard (1...ListRunsParameters.maximumLimit).contains(limit) else {
      throw VarlinkErrorReply.invalidParameter("limit")
    }
    guard parameters.follow == true else {
      return try await call.reply(ListRunsReply(runs: handler.runs(job: parameters.job, limit: limit)))
    }
    guard call.request.more else { throw VarlinkErrorReply.invalidParameter("follow") }
    try await handler.followRuns(job: parameters.job, limit: limit) { runs in
      try await call.reply(ListRunsReply(runs: runs), continues: true)
    }
    try await call.reply(ListRunsReply(runs: []))
  }

  private func act(_ method: ControlMethod, _ call: VarlinkCall) async throws {
    let caller = await caller(of: call)
    switch method {
    case .runJob:
      let parameters = try call.request.parameters(as: RunJobParameters.self)
      try await permit(method, "run job \"\(parameters.job)\"", call, caller)
      try await runJob(parameters, call, caller)
    case .cancelRun:
      let run = try call.request.parameters(as: CancelRunParameters.self).run
      try await permit(method, "cancel run \"\(run)\"", call, caller)
      try await handler.cancelRun(run, caller: caller)
      try await call.reply(VarlinkNothing())
    case .reload:
      _ = try call.request.parameters(as: VarlinkNothing.self)
      try await permit(method, "reload the configuration", call, caller)
      try await call.reply(ReloadReply(differences: handler.reload(caller: caller)))
    case .acknowledgeGaps:
      let cluster = try call.request.parameters(as: AcknowledgeGapsParameters.self).cluster
      try await permit(method, "acknowledge missing WAL", call, caller)
      try await call.reply(
        AcknowledgeGapsReply(clusters: handler.acknowledgeGaps(of: cluster, caller: caller)))
    case .testAlerts:
      let channel = try call.request.parameters(as: TestAlertsParameters.self).channel
      try await permit(method, "test alerts", call, caller)
      try await call.reply(TestAlertsReply(results: handler.testAlerts(channel: channel, caller: caller)))
    case .pushWAL:
      let parameters = try call.request.parameters(as: PushWALParameters.self)
      // One every few seconds, or hundreds at once: what the archiver did is in the WAL status.
      try await permit(method, "archive \"\(parameters.path)\"", call, caller, level: .debug)
      try await handler.pushWAL(parameters.path, of: parameters.cluster, caller: caller)
      try await call.reply(VarlinkNothing())
    case .ping, .getStatus, .listJobs, .listRuns, .getWALStatus, .getMetrics: break
    }
  }

  private func runJob(_ parameters: RunJobParameters, _ call: VarlinkCall, _ caller: Caller) async throws {
    let record: RunRecord
    if call.request.more {
      record = try await handler.runJob(parameters.job, caller: caller) { record in
        try await call.reply(RunJobReply(record: record), continues: true)
      }
    } else if parameters.wait == true && !call.request.oneway {
      record = try await handler.runJob(parameters.job, caller: caller) { _ in }
    } else {
      record = try await handler.startJob(parameters.job, caller: caller)
    }
    try await call.reply(RunJobReply(record: record))
  }

  // MARK: Rights

  private func caller(of call: VarlinkCall) async -> Caller {
    Caller(
      processID: call.peer.processID, userID: call.peer.userID, groupID: call.peer.groupID,
      userName: await names.name(ofUser: call.peer.userID))
  }

  /// - Throws: ``ControlFailure`` `PermissionDenied`.
  private func permit(
    _ method: ControlMethod, _ action: String, _ call: VarlinkCall, _ caller: Caller, level: Logger.Level = .info
  ) async throws {
    let peer = call.peer
    // The groups the kernel gave the caller's process, as for a file: one that gave its groups up stays without.
    let isPermitted =
      peer.userID == 0 || peer.userID == geteuid() || adminGroup.map { peer.isMember(of: $0) } ?? false
    let metadata: Logger.Metadata = [
      "method": "\(method.rawValue)", "action": "\(action)", "user": "\(caller.userName ?? "-")",
      "uid": "\(caller.userID)", "pid": "\(caller.processID)",
    ]
    guard isPermitted else {
      logger.warning("control action refused", metadata: metadata)
      var group: String?
      if let adminGroup { group = await names.name(ofGroup: adminGroup) ?? "\(adminGroup)" }
      throw ControlFailure.permissionDenied(action: action, user: caller.description, group: group)
    }
    logger.log(level: level, "control action asked for", metadata: metadata)
  }
}

extension ControlFailure {
  /// The error as Varlink carries it.
  var reply: VarlinkErrorReply { VarlinkErrorReply(fullName, report) }
}
