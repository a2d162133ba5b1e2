package conformance

import (
	"regexp"
	"strings"
)

// how a test on the list is skipped.
type how int

const (
	skipsItself how = 1 + iota // it looks at what there is, and goes
	fails                      // it is run, and cannot pass
	leaveOut                   // it is not run: it would end the suite, look beyond it, or go by chance
)

// skip is a test that does not pass, and why that says nothing against the broker.
type skip struct {
	suite, test string // the test and its parts
	how         how
	why         string
}

// skips are all there are.
var skips = []skip{
	{kgoSuite, "TestShareGroup", skipsItself, shareGroups},
	{kgoSuite, "TestShareGroupETL", skipsItself, shareGroups},
	{kgoSuite, "TestShareGroupAckOnClose", skipsItself, shareGroups},
	{kgoSuite, "TestShareGroupOffsetsAdmin", skipsItself, shareGroups},
	{kgoSuite, "TestConsumeRegexShareSkipsInternal", skipsItself, shareGroups},
	{
		kgoSuite, "TestIssueProduceBrokerTooOldFailsRecords", skipsItself,
		"wants a broker that does not announce Produce 2; we do, for librdkafka's sake (KAFKA-18659)",
	},
	{kgoSuite, "TestSCRAMAuth", skipsItself, "wants a listener with SCRAM: run by itself on one, above"},
	{kgoSuite, "TestSCRAMAuthBadCredentials", skipsItself, "the same"},
	{kafkaGoSuite, "TestClientInitProducerId", skipsItself, version3},
	{kafkaGoSuite, "TestClientAddOffsetsToTxn", skipsItself, version3},
	{kafkaGoSuite, "TestClientAddPartitionsToTxn", skipsItself, version3},
	{kafkaGoSuite, "TestClientTxnOffsetCommit", skipsItself, version3},
	{
		kafkaGoTxn, "TestClientTxnOffsetCommit", fails,
		"commits with an instance id that its member has not joined with; Kafka since 3.0 answers UNKNOWN_MEMBER_ID, as we do",
	},
	{kafkaGoSuite, "TestReadTruncatedMessages", skipsItself, "skipped by its authors"},
	{kafkaGoSuite, "TestConsumerGroupWithMissingTopic", skipsItself, "skipped by its authors, on a broker where topics come by themselves"},
	{kafkaGoSuite, "TestReaderReadCompactedMessage", fails, "wants segment.bytes of 200; Kafka 4 takes none below 1 MiB, we none below 1 KiB"},
	{kafkaGoSuite, "TestConn/test_delete_topics", fails, autoCreate},
	{kafkaGoSuite, "TestConn/test_delete_topics_with_an_invalid_topic", fails, autoCreate},
	{kafkaGoSuite, "TestDialerResolver/resolve_domain_to_ip", fails, port9092},
	{kafkaGoSuite, "TestDialerResolver/resolve_domain_to_ip_and_port", fails, port9092},
	{kafkaGoSuite, "TestReaderConsumerGroup/verify_offset_committed", leaveOut, nilFunction},
	{kafkaGoSuite, "TestReaderConsumerGroup/verify_offset_committed_when_using_interval_committer", leaveOut, nilFunction},
	{kafkaGoSuite, "TestReaderConsumerGroup/consumer_group_commits_on_close", leaveOut, nilFunction},
	{
		kafkaGoSuite, "TestReaderConsumerGroup/consumer_group_rebalance", leaveOut,
		"wants twelve records for each of two readers where one of them gets a partition with eight; it passes when chance has it read ahead",
	},
}

const (
	shareGroups = "share groups are not served"
	version3    = "skips itself on Kafka 3.0 and later: run by itself, as on an earlier one, above"
	autoCreate  = "asks for the metadata of a topic that it has deleted, which makes the topic anew, here with its partitions at once"
	port9092    = "presumes port 9092, by naming none"
	nilFunction = "ends in a call of a nil function of its own (getOffsets), and with it the process"
)

// listed says how a test is skipped, 0 if it is not.
func listed(suite, test string) how {
	for _, s := range skips {
		if s.suite == suite && s.test == test {
			return s.how
		}
	}
	return 0
}

// leftOut is what go test is told to skip.
func leftOut(suite string) string {
	var patterns []string
	for _, s := range skips {
		if s.suite == suite && s.how == leaveOut {
			parts := strings.Split(s.test, "/")
			for i := range parts {
				parts[i] = "^" + regexp.QuoteMeta(parts[i]) + "$"
			}
			patterns = append(patterns, strings.Join(parts, "/"))
		}
	}
	return strings.Join(patterns, "|")
}
