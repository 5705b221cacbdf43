/* The clauses of the reactor's contract (<sley/reactor_impl.h>, <sley/wait.h>): how each is run, its name, its sentence. */
#ifndef SLEY_CONFORMANCE_REACTOR_CLAUSES_H
#define SLEY_CONFORMANCE_REACTOR_CLAUSES_H

/* Tables, a line a clause. */
/* clang-format off */
/* FIBER: in a fiber of an executor on the reactor; PLAIN: on the thread, which makes reactors itself */
#define SLEY__CLAUSES_SOCKETS(X)                                                                                                   \
    /* life */                                                                                                                     \
    X(PLAIN, table_is_complete, "The factory and the table have a version, a name, every required slot, and what the capabilities" \
                                " call for.")                                                                                      \
    X(PLAIN, create_without_memory_is_enomem, "With memory refused at any point create returns -ENOMEM and leaves nothing.")       \
    X(PLAIN, create_without_descriptors_is_emfile, "With no descriptor left create returns -EMFILE and leaves nothing.")           \
    X(PLAIN, destroy_gives_everything_back, "A destroyed reactor leaves no descriptor and no block of memory.")                    \
    X(PLAIN, its_own_descriptors_are_close_on_exec, "What a reactor opens for itself is close-on-exec.")                           \
    X(FIBER, destroy_completes_what_waits, "Destroy completes every armed op with -ECANCELED, once, before it returns.")           \
    X(FIBER, destroy_leaves_descriptors_open, "Destroy closes no descriptor that it was given.")                                   \
    X(FIBER, dead_home_has_no_successor, "A descriptor whose reactor is gone is told -ENODEV, though a new one has been made.")    \
    X(FIBER, two_reactors_keep_apart, "Two reactors on one thread do not notice each other.")                                      \
    /* results */                                                                                                                  \
    X(FIBER, recv_before_and_after_its_data_is_the_same, "A RECV gets what is there, whether it was started before or after.")     \
    X(FIBER, send_waits_for_room_and_goes_on, "A SEND into a full socket waits, and completes when the peer has read.")            \
    X(FIBER, datagrams_keep_their_bounds, "Datagrams are received one by one, none lost, none merged.")                            \
    X(FIBER, recv_at_the_end_is_zero, "After the last byte RECV gives 0, again and again.")                                        \
    X(FIBER, recv_after_a_reset_is_econnreset, "A waiting RECV of a connection that is reset completes with -ECONNRESET.")         \
    X(FIBER, send_to_nobody_is_epipe_without_sigpipe, "SEND and SENDMSG to a peer that is gone give -EPIPE, and no signal.")       \
    X(FIBER, messages_carry_descriptors, "SENDMSG and RECVMSG carry descriptors, which are close-on-exec.")                        \
    X(FIBER, peek_leaves_what_it_gives, "RECVMSG with PEEK waits and gives as without it, and what it gives is there still.")       \
    X(FIBER, connect_reaches_a_listener, "CONNECT to a listener gives 0, once connected -EISCONN.")                                \
    X(FIBER, connect_refused_is_said, "CONNECT to where nobody listens gives -ECONNREFUSED.")                                      \
    X(FIBER, connect_to_a_full_unix_listener_is_enobufs, "CONNECT to a Unix listener whose queue is full gives -ENOBUFS.")         \
    X(FIBER, accept_gives_nonblocking_close_on_exec, "What ACCEPT gives is non-blocking and close-on-exec.")                       \
    X(FIBER, each_of_several_accepts_gets_one, "Of several ACCEPTs on a listener each gets one connection, the oldest the first.") \
    X(FIBER, accept_without_descriptors_is_emfile, "ACCEPT with no descriptor left gives -EMFILE, and works again later.")         \
    X(FIBER, poll_gives_the_set_that_is_ready, "POLL completes with what is ready of its set; ERR and HUP unasked, no more.")      \
    X(FIBER, poll_is_for_many, "Any number of POLLs may wait on a descriptor; all that it concerns complete.")                     \
    X(FIBER, poll_beside_a_recv_is_told, "A POLL that waits beside a RECV completes, too, with what the RECV takes.")              \
    X(FIBER, poll_for_errors_alone_waits_for_them, "POLL of the empty set is not completed by data, but by a hang-up.")            \
    X(FIBER, poll_of_a_file_is_eperm, "POLL of a regular file or a directory gives -EPERM.")                                       \
    X(FIBER, bad_number_is_ebadf, "Every op on a number that is not open gives -EBADF.")                                           \
    X(FIBER, length_above_4_gib_does_not_wrap, "A length of 4 GiB is a long one, not 0.")                                          \
    /* SLEY_IO_ALL */                                                                                                              \
    X(FIBER, all_recv_gathers_pieces, "RECV with ALL goes on until every byte is there: 0, and done_bytes has the length.")        \
    X(FIBER, all_recv_at_an_end_within_is_enodata, "RECV with ALL that meets the end gives -ENODATA, and done_bytes.")             \
    X(FIBER, all_send_goes_on_until_all_is_out, "SEND with ALL goes on until every byte is out, in order: 0, and done_bytes.")     \
    X(FIBER, all_cancelled_says_how_much, "A cancelled ALL says in done_bytes what has moved; the rest stays in the stream.")      \
    X(FIBER, all_broken_off_says_how_much, "An error within an ALL is its result, and done_bytes has what moved before.")          \
    /* once, and whose */                                                                                                          \
    X(FIBER, end_is_called_once_before_the_waiter, "`end` is called once for each op, before its node is done; its answer counts.") \
    X(FIBER, armed_count_is_exact, "armed_count is the number of ops that wait, after every step.")                                \
    X(FIBER, holds_are_exact, "Each op that waits holds its descriptor once, and when none waits nothing does.")                   \
    X(FIBER, direction_is_taken_while_an_op_waits, "A second op in a direction is -EBUSY while one waits, and fine afterwards.")   \
    X(FIBER, op_is_the_callers_once_done, "What is done is not touched again: neither the op nor its buffer.")                     \
    X(FIBER, op_may_be_started_again_in_its_hook, "A hook may start ops, its own again too; one poll does not go on for ever.")    \
    X(FIBER, descriptor_moves_while_nothing_is_in_flight, "A sley_fd may be copied to a new place while nothing is in flight.")

#define SLEY__CLAUSES_WAITS(X)                                                                                                     \
    /* cancel */                                                                                                                   \
    X(FIBER, cancel_ends_a_waiting_op, "A cancel of an op that waits gives -ECANCELED, for every kind of op.")                     \
    X(FIBER, cancel_moves_nothing, "What was cancelled has not happened: no byte taken or sent, no connection lost.")              \
    X(FIBER, cancel_of_one_leaves_the_others, "A cancel of one of several ops on a descriptor leaves the others waiting.")         \
    X(FIBER, cancel_of_a_done_op_is_nothing, "A cancel of what is done, or a second cancel, changes nothing.")                     \
    X(FIBER, cancel_in_a_hook_of_the_same_batch, "An op whose event is at hand may be cancelled by another's hook: one verdict.")  \
    X(FIBER, cancel_racing_with_data_has_one_verdict, "A cancel that races with data: -ECANCELED or the result, no byte lost.")    \
    X(FIBER, cancelled_wait_wakes_nobody, "After a cancel nothing is watched: what comes then does not end a wait.")               \
    /* close */                                                                                                                    \
    X(FIBER, close_completes_what_waits, "CLOSE completes every op that waits with -ECANCELED while the number is still taken.")   \
    X(FIBER, close_gives_the_number_back, "CLOSE completes with 0 once the number is free; twice is fine, ops are -EBADF then.")   \
    X(FIBER, close_leaves_others_alone, "CLOSE of one descriptor leaves ops of others waiting.")                                   \
    X(FIBER, close_in_a_hook_of_the_same_batch, "A hook may close a descriptor whose event is at hand: that event is dropped.")    \
    X(FIBER, hooks_may_take_what_is_next_in_line, "While CLOSE, cancel or destroy completes ops, a hook may cancel what is next,"  \
                                                  " and have it back.")                                                            \
    X(FIBER, reused_number_starts_clean, "A number that is used again starts clean: nothing of its old life reaches the new one.") \
    X(FIBER, number_closed_behind_its_back_starts_clean, "adopt forgets what was known of a number, closed elsewhere meanwhile.")  \
    X(FIBER, second_description_is_eexist, "adopt of a number on which ops of another sley_fd wait is -EEXIST; those go on.")      \
    /* poll, wake */                                                                                                               \
    X(FIBER, poll_of_zero_only_looks, "poll(0) returns though nothing has happened, and sees what has.")                           \
    X(FIBER, poll_waits_its_time_at_most, "poll returns when its time is up, though nothing comes.")                            \
    X(FIBER, poll_waits_and_does_not_spin, "poll waits: with nothing to do it does not return at once over and over.")             \
    X(FIBER, poll_takes_any_timeout, "Timeouts from 1 ns to SLEY_NEVER are fine, and an event ends each.")                         \
    X(FIBER, poll_says_whether_it_has_completed_one, "poll says more than 0 when it has completed an op, 0 when there was"         \
                                                     " nothing.")                                                                  \
    X(FIBER, poll_survives_signals, "A signal that interrupts poll is no error, and no result of an op.")                          \
    X(FIBER, wake_before_poll_ends_it, "A wake before poll ends the next one; many coalesce.")                                     \
    X(FIBER, wake_from_threads_is_never_lost, "No wake from any thread is lost, however it races with poll.")                      \
    X(FIBER, wake_from_a_signal_handler, "wake may be called in a signal handler, ends the wait, and keeps errno.")                \
    X(FIBER, wake_on_the_brink_of_a_wait_ends_it, "A wake between poll's look and its sleep, or while it takes in another, is kept.") \
    X(FIBER, pollable_fd_tells_when_there_is_work, "pollable_fd, if there is one, is readable when poll has something to do.")     \
    /* load, faults */                                                                                                             \
    X(FIBER, thousand_descriptors_each_get_their_byte, "Of a thousand descriptors each gets what is its own, and no other.")       \
    X(FIBER, three_thousand_ops_on_one_descriptor, "Thousands of ops at once are a delay at worst: no queue is too full.")         \
    X(FIBER, completions_may_come_in_any_order, "Ops complete in the order in which their descriptors become ready.")              \
    X(FIBER, busy_descriptors_do_not_starve_a_quiet_one, "Descriptors that are always ready do not starve another one.")           \
    X(FIBER, poll_comes_back_beside_hooks_that_start_ops, "poll ends though each of its hooks starts an op that is ready at once.")\
    X(FIBER, long_transfer_does_not_starve_others, "An ALL op whose peer keeps up does not keep others from their turn.")          \
    X(FIBER, short_transfers_lose_nothing, "Through tiny buffers, in pieces of any size, every byte arrives in its place.")        \
    X(FIBER, interrupted_calls_are_made_again, "With a storm of signals (SA_RESTART off) no op gives -EINTR, no byte is lost.")    \
    X(FIBER, stolen_readiness_waits_on, "When somebody else takes the data, the op waits on: -EAGAIN is no result.")               \
    X(FIBER, memory_refused_while_running_disturbs_no_other, "An op that gets no memory gives -ENOMEM; the others go on.")         \
    X(FIBER, short_ways_are_the_long_ways, "With FAR cleared: what is sent and armed by the short ways goes on and completes.")

#define SLEY__CLAUSES_FILES(X)                                                                                                     \
    /* files, paths */                                                                                                             \
    X(FIBER, file_written_is_read_back, "READ and WRITE, by offset and where the file stands: what was written, no more than"      \
                                  " asked for, 0 at the end.")                                                                     \
    X(FIBER, vectors_move_in_order, "READV and WRITEV move their pieces in order; more than IOV_MAX are -EINVAL.")                 \
    X(FIBER, fixed_buffers_are_buffers, "READ_FIXED and WRITE_FIXED move what lies in registered memory; beyond it they are"       \
                                  " -EFAULT.")                                                                                     \
    X(FIBER, positional_ops_are_many, "Ops with an offset are many at a time on a descriptor, and each gets what is its own.")     \
    X(FIBER, file_is_synced_grown_and_described, "FSYNC, FDATASYNC, FALLOCATE and STAT of a descriptor do what they say.")         \
    X(FIBER, file_op_on_what_is_not_open_is_ebadf, "Every file op on a number that is not open, or on none, gives -EBADF and"      \
                                  " holds nothing.")                                                                               \
    X(FIBER, paths_are_made_moved_and_removed, "MKDIR, OPEN, RENAME, STAT and UNLINK of paths, and the errors of the calls.")      \
    X(FIBER, open_gives_close_on_exec, "What OPEN gives is close-on-exec; with no descriptor left it is -EMFILE.")                 \
    X(FIBER, cancelled_open_leaks_nothing, "An OPEN that is cancelled gives -ECANCELED, or the descriptor: none is lost.")         \
    /* pipes, splices, children */                                                                                                 \
    X(FIBER, pipe_read_waits_for_its_data, "A READ of an empty pipe waits and takes its direction; 0 at the end, -ESPIPE with"     \
                                  " an offset.")                                                                                   \
    X(FIBER, pipe_write_waits_for_room, "A WRITE into a full pipe waits; into one that nobody reads it is -EPIPE, and no signal.") \
    X(FIBER, blocking_descriptor_blocks_nobody, "A READ of a descriptor that blocks waits as others do, and can be cancelled.")    \
    X(FIBER, cancelled_file_op_moves_nothing, "A cancel of a READ that waits: -ECANCELED and nothing taken, or what it has read.") \
    X(FIBER, close_ends_file_ops_before_itself, "CLOSE of either descriptor ends an op that waits, while the number is still"      \
                                  " taken.")                                                                                       \
    X(FIBER, destroy_ends_file_ops, "Destroy ends file ops with -ECANCELED, or their true result, once, before it returns.")       \
    X(FIBER, splice_waits_for_either_side, "SPLICE waits for something to take, and for room to put it; 0 at the end.")            \
    X(FIBER, shutdown_ends_a_direction, "SHUTDOWN ends one direction, and leaves what waits in the other.")                        \
    X(FIBER, child_that_ends_is_told, "CHILD waits for the end of a process, and reaps it, unless it was cancelled or is told"     \
                                  " not to.")                                                                                      \
    X(FIBER, zero_copy_send_has_two_stages, "SEND_ZC: `sent` once, with the result, when the next may start; then done, when"      \
                                  " the buffer is back.")

#define SLEY__CLAUSES_LENT(X)                                                                                                      \
    X(FIBER, lent_receive_gives_bytes_and_buffer, "A receive with LEND gives bytes and buffer together, no more than one buffer"   \
                                                  " holds.")                                                                       \
    X(FIBER, lent_receive_without_bytes_has_no_buffer, "At the end, after an error, a cancel or a close there is no buffer, and"   \
                                                       " none is lost.")                                                           \
    X(FIBER, waiting_receives_hold_no_buffer, "Receives that wait hold no buffer: many more may wait than there are.")             \
    X(FIBER, lent_buffers_that_run_out_are_waited_for_in_turn, "While all are out a receive waits, and who waits longest gets"     \
                                                               " the next.")                                                       \
    X(FIBER, cancel_in_line_takes_nothing, "A cancel of one that waits for a buffer gives -ECANCELED, and leaves its bytes.")      \
    X(FIBER, close_in_line_ends_it, "CLOSE ends one that waits for a buffer with -ECANCELED, and the buffer goes to others.")      \
    X(FIBER, reset_in_line_is_told_at_its_turn, "What ends a connection while its receive waits for a buffer is told in turn,"     \
                                                " after what came before.")                                                        \
    X(FIBER, no_memory_to_lend_is_enobufs, "Without memory for buffers it is -ENOBUFS, and the bytes stay; later it works.")       \
    X(FIBER, bytes_that_come_ahead_are_there_for_all, "After lent receives in a loop what comes unasked is seen by PEEK, POLL, RECV"   \
                                                      " and sley_io_now, in its order.")                                           \
    X(FIBER, lent_buffer_outlives_its_reactor, "Destroy ends those that wait for a buffer; what is lent stays until it comes"      \
                                               " back, and goes then.")

#define SLEY__CLAUSES_HOMES(X)                                                                                                     \
    X(PLAIN, op_from_elsewhere_is_done_at_home, "An op of a thread, or of another executor, has the results of home, `end`"        \
                                  " included.")                                                                                    \
    X(PLAIN, file_op_from_elsewhere_is_done_at_home, "The same of file ops, with their cancel.")                                   \
    X(PLAIN, cancel_from_elsewhere_has_one_verdict, "A cancel from elsewhere gives -ECANCELED, and nothing has happened, or the"   \
                                  " result: at any stage.")                                                                        \
    X(PLAIN, close_from_elsewhere_ends_what_waits, "CLOSE from elsewhere ends what waits, at home and on its way, then gives"      \
                                  " the number back.")                                                                             \
    X(PLAIN, move_needs_nothing_in_flight, "sley_fd_move is -EBUSY while something waits; after it the next worker that uses it"   \
                                  " is its home.")                                                                                 \
    X(PLAIN, moved_descriptor_leaves_nothing_behind, "Of a moved descriptor nothing is left at its old home; its number, and"      \
                                  " itself, may come there again.")                                                                \
    X(PLAIN, home_that_ends_answers_all, "A reactor that ends answers all who wait there from elsewhere; later it is -ENODEV,"     \
                                  " and CLOSE works.")                                                                             \
    X(PLAIN, ops_and_cancels_of_threads_lose_nothing, "Ops and cancels of several threads race at a home: each has one verdict,"   \
                                  " no byte is lost.")

#define SLEY__CLAUSES_DIRECT(X)                                                                                                    \
    X(FIBER, direct_is_asked_for_not_demanded, "What ACCEPT and OPEN give for DIRECT is direct, or, where that cannot be, as ever.") \
    X(FIBER, direct_descriptor_takes_no_number, "A direct descriptor takes no number of the process's; its own is -EBADF for"      \
                                  " the system, and for who guesses it.")                                                          \
    X(FIBER, direct_connection_is_a_connection, "Receives, lent ones, too, sends, messages, POLL, SHUTDOWN and cancels are as"     \
                                  " ever on a direct connection.")                                                                 \
    X(FIBER, direct_file_is_a_file, "A direct file is read, written by offset, and synced; POLL of it is -EPERM.")                 \
    X(FIBER, direct_refusals_are_enotsup, "What cannot be done with a direct descriptor, a move always, is -ENOTSUP, and"          \
                                  " nothing has happened.")                                                                        \
    X(FIBER, direct_table_that_is_full_is_enfile, "With no place left ACCEPT and OPEN for DIRECT give -ENFILE, and no connection"  \
                                  " is lost.")                                                                                     \
    X(FIBER, direct_close_ends_what_waits, "CLOSE of a direct descriptor ends what waits, and then the connection; ops are -EBADF" \
                                  " then.")                                                                                        \
    X(FIBER, direct_places_are_exact, "Cancels, errors and closes lose no place: as many fit as before.")                          \
    X(FIBER, direct_place_starts_clean, "A place that is taken again starts clean: nothing of its old life reaches the new one.")  \
    X(FIBER, direct_descriptor_lends_a_number, "lend_number, if it is there, gives a number of the same, close-on-exec; away"      \
                                  " from home -EXDEV.")                                                                            \
    X(FIBER, direct_descriptors_end_with_their_reactor, "Destroy closes direct descriptors; ops are -ENODEV then, and CLOSE works.") \
    X(PLAIN, direct_op_from_elsewhere_is_done_at_home, "An op of a thread, or of another executor, on a direct descriptor is done" \
                                  " at its home.")

/* of those with SLEY_REACTOR_CAP_SHARED */
#define SLEY__CLAUSES_SHARED(X)                                                                                                    \
    X(PLAIN, serve_completes_what_is_ready, "serve, by any worker, completes what is ready, without waiting.")                     \
    X(PLAIN, serve_leaves_an_owner_that_waits_alone, "serve does nothing while the owner waits in poll.")                          \
    X(PLAIN, serve_leaves_wakes_to_the_owner, "A wake stays the owner's: serve does not use it up.")                               \
    X(PLAIN, op_started_while_the_owner_waits_is_seen, "An op that another worker starts while the owner waits is completed"       \
                                  " when its time comes.")                                                                         \
    X(PLAIN, any_worker_cancels_and_closes, "Any worker cancels and closes, under the lock, whatever the owner is doing.")         \
    X(PLAIN, hooks_run_without_the_lock, "Whoever is told, by poll, serve, cancel or close, is told without the lock.")            \
    X(PLAIN, workers_that_race_lose_nothing, "Workers that start, cancel and serve at once: each op has one verdict, no byte is"   \
                                  " lost.")

/* in the order in which they are tried */
#define SLEY__REACTOR_CLAUSES(X)                                                                                                   \
    SLEY__CLAUSES_SOCKETS(X) SLEY__CLAUSES_WAITS(X) SLEY__CLAUSES_FILES(X) SLEY__CLAUSES_LENT(X) SLEY__CLAUSES_HOMES(X)            \
    SLEY__CLAUSES_DIRECT(X) SLEY__CLAUSES_SHARED(X)
/* clang-format on */

#define SLEY__CLAUSE_DECLARE(how, name, sentence) void sley__clause_##name(void);
SLEY__REACTOR_CLAUSES(SLEY__CLAUSE_DECLARE)

#endif
