import SwiftletInference
import SwiftletOps
import Testing

@Suite struct SchedulerTests {
  private func sequence(_ id: Int, prompt: Int, new: Int = 10) -> TokenSequence {
    TokenSequence(id: id, request: GenerationRequest(prompt: Array(repeating: 1, count: prompt), maximumTokens: new))
  }

  private func scheduler(sequences: Int = 8, tokens: Int = 100, blocks: Int = 1000) -> Scheduler {
    Scheduler(maximumSequences: sequences, maximumTokens: tokens, blocks: BlockManager(capacity: blocks))
  }

  @Test func promptsAreReadInPiecesThatFit() {
    var scheduler = scheduler(tokens: 10)
    let long = sequence(0, prompt: 25)
    scheduler.add(long)
    var counts: [Int] = []
    while long.pending > 0 {
      let pass = scheduler.next()
      counts.append(pass[0].count)
      #expect(pass[0].completes == (counts.count == 3))
      long.computed += pass[0].count
    }
    #expect(counts == [10, 10, 5])
  }

  @Test func generatingSequencesGoBeforePrompts() {
    var scheduler = scheduler(tokens: 4)
    let (long, generating) = (sequence(0, prompt: 50), sequence(1, prompt: 3))
    generating.computed = 2
    scheduler.add(long)
    scheduler.add(generating)
    let pass = scheduler.next()
    #expect(pass.map(\.sequence.id) == [1, 0])
    #expect(pass.map(\.count) == [1, 3])
  }

  @Test func sequencesWaitForBlocksAndGiveThemBack() {
    // 60 + 10 - 1 tokens fill two blocks of 64.
    var scheduler = scheduler(blocks: 5)
    let all = (0..<3).map { sequence($0, prompt: 60) }
    all.forEach { scheduler.add($0) }
    #expect(scheduler.next().map(\.sequence.id) == [0, 1])
    #expect(scheduler.usedBlocks == 4)
    all[0].cancel()
    #expect(scheduler.removeFinished().map(\.id) == [0])
    #expect(scheduler.next().map(\.sequence.id) == [1, 2])
    all.forEach { $0.cancel() }
    _ = scheduler.removeFinished()
    #expect(scheduler.usedBlocks == 0)
    #expect(!scheduler.hasWork)
  }

  @Test func aSequenceLargerThanEverythingRunsAlone() {
    var scheduler = scheduler(blocks: 1)
    scheduler.add(sequence(0, prompt: 600))
    scheduler.add(sequence(1, prompt: 6))
    #expect(scheduler.next().map(\.sequence.id) == [0])
  }

  @Test func aSequenceNoticesItsEnd() {
    let request = GenerationRequest(prompt: [5, 6], maximumTokens: 3, stopIDs: [9])
    let stopped = TokenSequence(id: 0, request: request)
    stopped.append(7, logProbability: -1)
    #expect(stopped.finishReason == nil)
    stopped.append(9, logProbability: -2)
    #expect(stopped.finishReason == .stop)
    #expect(Array(stopped.generated) == [7, 9])
    let full = TokenSequence(id: 1, request: request)
    for token in [1, 2, 3] as [Int32] { full.append(token, logProbability: 0) }
    #expect(full.finishReason == .length)
    #expect(TokenSequence(id: 2, request: GenerationRequest(prompt: [1], maximumTokens: 0)).finishReason == .length)
  }
}
