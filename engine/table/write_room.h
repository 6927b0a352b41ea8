/* SPDX-License-Identifier: Apache-2.0
 *
 * write_room: between the rooms of writing: logs to append to (write_room.c) and their syncs (log_sync.c).
 * Making ready and the syncs that others ask for stand in table.h.
 */
#ifndef NC_WRITE_ROOM_H
#define NC_WRITE_ROOM_H

#include "table.h"

/* Appends the first frame of the table's log, unless it has one. Needs write_lock. */
NC_MUST_CHECK nacre_status nc_table_start_log_locked(nacre_table *t, nacre_error *err);
/* What a frame that is made now says of the table. */
nc_log_moment nc_table_log_moment(nacre_table *t);
nc_log_position nc_table_synced(nacre_table *t);
/* Everything before `position`, at least, is on stable storage on return. `mark`: the log says so. After a failure
 * nc_table_rescue_failed_log comes next. Needs sync_lock. */
NC_MUST_CHECK nacre_status nc_table_sync_to_locked(nacre_table *t, nc_log_position position, bool mark,
                                                   nacre_error *err);
/* With no lock held. */
void nc_table_rescue_failed_log(nacre_table *t);

#endif
