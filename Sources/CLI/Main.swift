import ArgumentParser

@main
struct Swiftlet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "swiftlet", abstract: "Teach a large language model on the machine you have.")
}
