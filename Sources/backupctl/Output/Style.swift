/// How a piece of text stands out.
enum Emphasis: String {
  case plain = ""
  case strong = "1"
  case faint = "2"
  case good = "32"
  case warning = "33"
  case bad = "31"
}

extension String {
  /// The text in its colour, where colours are wanted.
  func styled(_ emphasis: Emphasis) -> String {
    Output.hasColours && emphasis != .plain && !isEmpty ? "\u{1B}[\(emphasis.rawValue)m\(self)\u{1B}[0m" : self
  }

  func padded(to width: Int, _ alignment: Table.Alignment = .left) -> String {
    let space = String(repeating: " ", count: max(0, width - count))
    return alignment == .left ? self + space : space + self
  }
}
