package broker

import (
	"errors"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// Errors that Open and a running Broker return, wrapped with what was being done.
var (
	// ErrClosed: the broker is closed or closing.
	ErrClosed = errors.New("broker closed")
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("data directory in use")
	// ErrCorruptMetadata: the file that keeps topics and their configuration holds something this package did not write.
	ErrCorruptMetadata = errors.New("corrupt broker metadata")
)

// code is an error code of Kafka's protocol (https://kafka.apache.org/protocol#protocol_error_codes).
type code int16

const (
	codeUnknown                 code = -1
	codeNone                    code = 0
	codeOffsetOutOfRange        code = 1
	codeCorruptMessage          code = 2
	codeUnknownTopicOrPartition code = 3
	codeMessageTooLarge         code = 10
	codeOffsetMetadataTooLarge  code = 12
	codeCoordinatorNotAvailable code = 15
	codeNotEnoughReplicas       code = 19
	codeInvalidTopic            code = 17
	codeInvalidRequiredAcks     code = 21
	codeIllegalGeneration       code = 22
	codeInconsistentProtocol    code = 23
	codeInvalidGroupID          code = 24
	codeUnknownMemberID         code = 25
	codeInvalidSessionTimeout   code = 26
	codeRebalanceInProgress     code = 27
	codeInvalidCommitSize       code = 28
	codeInvalidTimestamp        code = 32
	codeTopicAuthorization      code = 29
	codeGroupAuthorization      code = 30
	codeClusterAuthorization    code = 31
	codeUnsupportedMechanism    code = 33
	codeIllegalSASLState        code = 34
	codeUnsupportedVersion      code = 35
	codeTopicExists             code = 36
	codeInvalidPartitions       code = 37
	codeInvalidReplication      code = 38
	codeInvalidAssignment       code = 39
	codeInvalidConfig           code = 40
	codeInvalidRequest          code = 42
	codeUnsupportedFormat       code = 43
	codePolicyViolation         code = 44
	codeOutOfOrderSequence      code = 45
	codeInvalidProducerEpoch    code = 47
	codeInvalidTxnState         code = 48
	codeInvalidProducerIDMap    code = 49
	codeInvalidTxnTimeout       code = 50
	codeConcurrentTransactions  code = 51
	codeCoordinatorFenced       code = 52
	codeTransactionalIDRefused  code = 53
	codeSecurityDisabled        code = 54
	codeOperationNotAttempted   code = 55
	codeStorageError            code = 56
	codeLogDirNotFound          code = 57
	codeAuthenticationFailed    code = 58
	codeNonEmptyGroup           code = 68
	codeGroupIDNotFound         code = 69
	codeFetchSessionNotFound    code = 70
	codeInvalidFetchEpoch       code = 71
	codeFencedLeaderEpoch       code = 74
	codeUnknownLeaderEpoch      code = 75
	codeMemberIDRequired        code = 79
	codeGroupMaxSizeReached     code = 81
	codeFencedInstanceID        code = 82
	codeGroupSubscribed         code = 86
	codeInvalidRecord           code = 87
	codeUnsupportedCompression  code = 76
	codeElectionNotNeeded       code = 84
	codeNoReassignment          code = 85
	codeThrottled               code = 89
	codeUnstableOffsetCommit    code = 88
	codeProducerFenced          code = 90
	codeResourceNotFound        code = 91
	codeDuplicateResource       code = 92
	codeUnacceptableCredential  code = 93
	codeUnknownTopicID          code = 100
	codeTransactionalIDNotFound code = 105
	codeInconsistentTopicID     code = 103
	codeFetchSessionTopicID     code = 106
	codeFencedMemberEpoch       code = 110
	codeUnreleasedInstanceID    code = 111
	codeUnsupportedAssignor     code = 112
	codeStaleMemberEpoch        code = 113
	codeMismatchedEndpoint      code = 114
	codeUnsupportedEndpoint     code = 115
	codeTransactionAbortable    code = 120
	codeInvalidRegex            code = 128

	maxCode = 140 // size of the counters by code; a code beyond it counts as codeUnknown
)

// logCode is the protocol's word for an error of the log.
func logCode(err error) code {
	switch {
	case err == nil:
		return codeNone
	case errors.Is(err, commitlog.ErrCorrupt):
		return codeCorruptMessage
	case errors.Is(err, commitlog.ErrTooLarge):
		return codeMessageTooLarge
	case errors.Is(err, commitlog.ErrUnsupportedFormat):
		return codeUnsupportedFormat
	case errors.Is(err, commitlog.ErrInvalidRecord):
		return codeInvalidRecord
	case errors.Is(err, commitlog.ErrInvalidTimestamp):
		return codeInvalidTimestamp
	case errors.Is(err, commitlog.ErrOutOfOrderSequence):
		return codeOutOfOrderSequence
	case errors.Is(err, commitlog.ErrInvalidProducerEpoch):
		return codeInvalidProducerEpoch
	case errors.Is(err, commitlog.ErrInvalidTxnState):
		return codeInvalidTxnState
	case errors.Is(err, commitlog.ErrCoordinatorFenced):
		return codeCoordinatorFenced
	case errors.Is(err, commitlog.ErrOffsetOutOfRange):
		return codeOffsetOutOfRange
	case errors.Is(err, commitlog.ErrClosed), errors.Is(err, commitlog.ErrNotFound):
		return codeUnknownTopicOrPartition // the partition went away while it was served
	default:
		return codeStorageError
	}
}
