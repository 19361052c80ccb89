/// Rows under headings, aligned, and narrow enough for the terminal.
struct Table {
  enum Alignment { case left, right }

  struct Column {
    var title: String
    var alignment: Alignment
    /// Which columns go first where there is no room: the highest; those with 0 stay.
    var dropOrder: Int

    static func text(_ title: String, drop: Int = 0) -> Column {
      Column(title: title, alignment: .left, dropOrder: drop)
    }
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

  var columns: [Column]
  var rows: [[Cell]] = []

  init(_ columns: [Column]) { self.columns = columns }

  /// - Parameter width: Characters in a line; nil: any number.
  func text(width: Int? = Output.width()) -> String {
    let widths = columns.indices.map { column in
      rows.reduce(columns[column].title.count) { max($0, $1[column].text.count) }
    }
    var shown = Array(columns.indices)
    func total() -> Int { shown.reduce(0) { $0 + widths[$1] } + 2 * (shown.count - 1) }
    while let width, total() > width,
      let last = shown.filter({ columns[$0].dropOrder > 0 }).max(by: { columns[$0].dropOrder < columns[$1].dropOrder })
    {
      shown.removeAll { $0 == last }
    }
    func line(_ cells: [Cell]) -> String {
      let parts = shown.map { column in
        let cell = cells[column]
        // Nothing after the last word of a line: it would wrap in a narrow terminal.
        let isLast = column == shown.last && columns[column].alignment == .left
        return (isLast ? cell.text : cell.text.padded(to: widths[column], columns[column].alignment))
          .styled(cell.emphasis)
      }
      return parts.joined(separator: "  ")
    }
    return ([line(columns.map { Cell($0.title, .strong) })] + rows.map(line)).joined(separator: "\n")
  }
}
