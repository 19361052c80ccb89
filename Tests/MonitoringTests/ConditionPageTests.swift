import Foundation
import Testing

@testable import Monitoring

@Suite("The page of conditions") struct ConditionPageTests {
  @Test("explains every kind", arguments: ConditionKind.allCases) func explains(kind: ConditionKind) throws {
    let source = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    let text = try String(contentsOfFile: source + "/docs/operations/conditions.md", encoding: .utf8)
    #expect(text.contains("`\(kind.rawValue):") || text.contains("`\(kind.rawValue)`"))
  }
}
