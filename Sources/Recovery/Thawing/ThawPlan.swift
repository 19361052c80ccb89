public import BackupModel
public import BlockingWork
public import Repository
public import Storage
import Synchronization

/// The cold packs that a restore needs, how far they are, and what it takes to thaw the others.
public struct ThawPlan: Sendable {
  public struct Pack: Sendable {
    public var id: PackID
    public var bytes: Int64
    public var storageClass: StorageClass
    public var state: ThawState
  }

  /// How long thawed copies stay: a restore that is interrupted has time to go on.
  public static let days = 7
  /// One that ends sooner might be gone before it is read.
  private static let margin: Duration = .seconds(86400)
  private static let lanes = 8

  public let store: StoreID
  public let tier: ThawTier
  public let packs: [Pack]
  let lineage: Lineage
  let objects: any ThawingStore
  private let now = Timestamp.now()

  /// Packs that have to be asked for.
  public var frozen: [Pack] {
    packs.filter { pack in
      switch pack.state {
      case .frozen: true
      case .thawed(let until?): until < now + Self.margin
      case .warm, .thawing, .thawed(nil): false
      }
    }
  }
  public var thawing: [Pack] { packs.filter { $0.state == .thawing } }
  public var readable: [Pack] { packs.filter(\.state.isReadable) }

  /// Asks the store how each cold pack of a backup is. One listing tells their classes; only those that are cold are asked for.
  ///
  /// - Returns: Nil where nothing that the backup needs is cold.
  /// - Throws: ``RecoveryError/tierMissing(_:_:)``, `StorageError`, `RepositoryError`.
  public static func make(
    _ repository: Repository, _ plan: RestorePlan, tier: ThawTier, cancellation: Cancellation
  ) throws -> ThawPlan? {
    guard repository.stores.count == 1, let objects = repository.stores[0].objects as? any ThawingStore else {
      return nil
    }
    let live = try BackupReader(repository, plan.lineage, plan.backup).livePacks().filter { $0.kind == .pack }
    let needed = Set(live.map(\.pack))
    var packs: [Pack] = []
    for object in try objects.list(below: plan.lineage.packsPrefix).objects {
      guard let id = try? PackID(object.name.lastComponent), needed.contains(id),
        let storageClass = object.storageClass, storageClass.isCold
      else { continue }
      guard ThawPrice.of(storageClass, tier) != nil else {
        throw RecoveryError.tierMissing(storageClass.name, tier.rawValue)
      }
      packs.append(Pack(id: id, bytes: object.size, storageClass: storageClass, state: .frozen))
    }
    if packs.isEmpty { return nil }
    let states = try states(of: packs.map(\.id), in: objects, plan.lineage, cancellation)
    for index in packs.indices { packs[index].state = states[packs[index].id] ?? .frozen }
    return ThawPlan(
      store: repository.stores[0].id, tier: tier, packs: packs, lineage: plan.lineage, objects: objects)
  }

  init(
    store: StoreID, tier: ThawTier, packs: [Pack], lineage: Lineage, objects: any ThawingStore
  ) {
    self.store = store
    self.tier = tier
    self.packs = packs
    self.lineage = lineage
    self.objects = objects
  }

  static func states(
    of packs: [PackID], in objects: any ThawingStore, _ lineage: Lineage, _ cancellation: Cancellation
  ) throws -> [PackID: ThawState] {
    let states = Mutex<[PackID: ThawState]>([:])
    try forEachTogether(packs, lanes: lanes, cancellation, label: "thaw") { pack, _ in
      let state = try objects.thawState(of: lineage.pack(pack))
      states.withLock { $0[pack] = state }
    }
    return states.withLock { $0 }
  }

  /// Asks for everything that is frozen. What was asked for stays asked for, whatever becomes of this process.
  /// - Parameter observe: Gets the bytes asked for so far.
  func request(_ cancellation: Cancellation, observe: @escaping @Sendable (Int64) -> Void) throws {
    let bytes = Atomic<Int64>(0)
    let sizes = Dictionary(frozen.map { ($0.id, $0.bytes) }, uniquingKeysWith: { $1 })
    try forEachTogether(frozen.map(\.id), lanes: Self.lanes, cancellation, label: "thaw") { pack, _ in
      try objects.thaw(lineage.pack(pack), days: Self.days, tier: tier)
      observe(bytes.wrappingAdd(sizes[pack] ?? 0, ordering: .relaxed).newValue)
    }
  }
}

extension ThawPlan {
  /// Until all is thawed, from the asking on; zero where nothing has to be asked for.
  public var minutes: ClosedRange<Int> {
    (frozen + thawing).compactMap { ThawPrice.of($0.storageClass, tier)?.minutes }
      .max { $0.upperBound < $1.upperBound } ?? 0...0
  }

  /// Dollars for what has to be asked for, and for the days its copies stay.
  public var dollars: Double {
    frozen.reduce(0) { sum, pack in
      guard let price = ThawPrice.of(pack.storageClass, tier) else { return sum }
      let size = Double(pack.bytes) / 1e9
      return sum + size * (price.perGB + ThawPrice.copyPerGBMonth * Double(Self.days) / 30) + price.perThousand / 1000
    }
  }

  public static func bytes(of packs: [Pack]) -> ByteCount { ByteCount(packs.reduce(0) { $0 + $1.bytes }) }

  /// The classes of the packs, joined.
  public var classes: String { Set(packs.map(\.storageClass.name)).sorted().joined(separator: ", ") }
}
