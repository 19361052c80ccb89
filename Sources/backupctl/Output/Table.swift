/// Rows under headings, aligned, and narrow enough for the terminal.
struct Table {
  enum Alignment { case left, right }

  struct Column {
    var title: String
    var alignment = Alignment.left
    /// How important it is: where there is no room the highest gives way first; those with 0 are never left out.
    var dropOrder: Int
    /// Whether a value may end in an ellipsis. Half an id, LSN, time or number is worse than none.
    var mayShorten = false

    /// Words: names, lists, reasons.
    static func text(_ title: String, drop: Int = 0) -> Column {
      Column(title: title, dropOrder: drop, mayShorten: true)
    }
    /// What is copied or compared: ids, LSNs, times, outcomes.
    static func exact(_ title: String, drop: Int = 0) -> Column { Column(title: title, dropOrder: drop) }
    static func number(_ title: String, drop: Int = 0) -> Column {
      Column(title: title, alignment: .right, dropOrder: drop)
    }
  }

  struct Cell: ExpressibleByStringInterpolation {
    var text: String
    var emphasis: Emphasis = .plain

    init(_ text: String?, _ emphasis: Emphasis = .plain) {
      self.text = text ?? "-"
      self.emphasis = emphasis
    }
    init(stringLiteral value: String) { text = value }
  }

  /// Words are not shortened below this many characters: less of them says nothing.
  private static let fewestCharacters = 10

  var columns: [Column]
  var rows: [[Cell]] = []

  init(_ columns: [Column]) { self.columns = columns }

  /// - Parameter width: Characters in a line; nil: any number.
  func text(width: Int? = Output.width()) -> String {
    let (shown, widths) = layout(width)
    func line(_ cells: [Cell]) -> String {
      let parts = shown.map { column in
        let cell = cells[column]
        let text = cell.text.shortened(to: widths[column])
        // Nothing after the last word of a line: it would wrap in a narrow terminal.
        let isLast = column == shown.last && columns[column].alignment == .left
        return (isLast ? text : text.padded(to: widths[column], columns[column].alignment)).styled(cell.emphasis)
      }
      return parts.joined(separator: "  ")
    }
    return ([line(columns.map { Cell($0.title, .strong) })] + rows.map(line)).joined(separator: "\n")
  }

  /// Which columns there is room for, and how wide each is. Words are shortened before a column is left out.
  private func layout(_ width: Int?) -> (shown: [Int], widths: [Int]) {
    let natural = columns.indices.map { column in
      rows.reduce(columns[column].title.count) { max($0, $1[column].text.count) }
    }
    guard let width else { return (Array(columns.indices), natural) }
    let leastImportantFirst = columns.indices.sorted { columns[$0].dropOrder > columns[$1].dropOrder }
    var shown = Array(columns.indices)
    while true {
      var widths = natural
      var excess = shown.reduce(0) { $0 + natural[$1] } + 2 * (shown.count - 1) - width
      for column in leastImportantFirst where excess > 0 && columns[column].mayShorten && shown.contains(column) {
        let least = max(columns[column].title.count, min(natural[column], Self.fewestCharacters))
        let less = min(excess, natural[column] - least)
        widths[column] -= less
        excess -= less
      }
      if excess <= 0 { return (shown, widths) }
      guard let next = leastImportantFirst.first(where: { columns[$0].dropOrder > 0 && shown.contains($0) }) else {
        return (shown, widths)
      }
      shown.removeAll { $0 == next }
    }
  }
}

extension String {
  /// The text, or its beginning and an ellipsis where it has more characters than that.
  func shortened(to width: Int) -> String {
    guard count > width else { return self }
    var beginning = prefix(max(0, width - 1))
    while beginning.last == " " { beginning.removeLast() }
    return beginning + "…"
  }
}
