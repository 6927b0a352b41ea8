/* SPDX-License-Identifier: Apache-2.0
 *
 * The vocabulary of failure: status names, the table of errors, and what an error says.
 */
#include <stdio.h>

#include "support.h"

Test(status, names_every_status) {
  cr_assert_str_eq(nacre_status_name(NACRE_OK), "NACRE_OK");
  cr_assert_str_eq(nacre_status_name(NACRE_NOT_FOUND), "NACRE_NOT_FOUND");
  cr_assert_str_eq(nacre_status_name(NACRE_ROLLED_BACK), "NACRE_ROLLED_BACK");
  cr_assert_str_eq(nacre_status_name(NACRE_KEY_REVOKED), "NACRE_KEY_REVOKED");
  cr_assert_str_eq(nacre_status_name((nacre_status)15), "NACRE_UNKNOWN");
}

Test(status, tells_the_version) {
  int major, minor, patch;
  cr_assert_eq(sscanf(nacre_version(), "%d.%d.%d", &major, &minor, &patch), 3);
}

Test(status, ids_ascend_and_lie_in_their_floors_blocks) {
  uint32_t last = 0;
  for (size_t i = 0; nc_error_info_at(i) != NULL; i++) {
    const nc_error_info *info = nc_error_info_at(i);
    cr_assert_gt((uint32_t)info->id, last, "%s is out of order", info->name);
    cr_assert(info->id >= 1000 && info->id < 4000, "%s", info->name);
    cr_assert_eq(nc_error_info_of((uint32_t)info->id), info);
    last = (uint32_t)info->id;
  }
  cr_assert_null(nc_error_info_of(0));
  cr_assert_null(nc_error_info_of(999));
}

Test(status, every_sentence_fits_the_text) {
  for (size_t i = 0; nc_error_info_at(i) != NULL; i++) {
    const nc_error_info *info = nc_error_info_at(i);
    nacre_error err;
    cr_assert_eq(nc_fail(&err, info->id, NULL), info->status);
    char whole[1024];
    snprintf(whole, sizeof whole, "%s; %s", info->sentence, info->remedy);
    cr_assert_str_eq(err.text, whole);
    cr_assert_neq(info->status, NACRE_OK);
  }
}

Test(status, no_two_ids_say_the_same) {
  for (size_t i = 0; nc_error_info_at(i) != NULL; i++) {
    const nc_error_info *info = nc_error_info_at(i);
    cr_assert(info->sentence[0] != '\0' && info->remedy[0] != '\0', "%s", info->name);
    for (size_t j = 0; j < i; j++) {
      const nc_error_info *other = nc_error_info_at(j);
      cr_assert_str_neq(info->sentence, other->sentence, "%s and %s", other->name, info->name);
    }
  }
}

Test(status, an_error_holds_sentence_particulars_and_remedy) {
  nacre_error err;
  cr_assert_eq(nc_fail_at(&err, NC_E_FRAME_SIZE, 4096, "%d bytes", 7), NACRE_CORRUPT);
  cr_assert_str_eq(
      err.text,
      "a frame states a length beyond the limit: 7 bytes; restore the file from a backup, or bring "
      "out what else the table holds with nacre salvage");
  cr_assert_eq(err.offset, 4096);
  cr_assert_eq(err.id, 1203);
  cr_assert_str_empty(err.file);
  cr_assert_eq(nc_fail(NULL, NC_E_FRAME_SIZE, NULL), NACRE_CORRUPT);
}

Test(status, long_particulars_are_cut_and_terminated) {
  nacre_error err;
  char particulars[1000];
  memset(particulars, 'x', sizeof particulars - 1);
  particulars[sizeof particulars - 1] = '\0';
  nc_fail(&err, NC_E_FRAME_SIZE, "%s", particulars);
  cr_assert_eq(strlen(err.text), sizeof err.text - 1);
}

Test(status, particulars_may_quote_the_error_they_replace) {
  nacre_error err;
  nc_fail(&err, NC_E_FRAME_SIZE, "first");
  nc_fail(&err, NC_E_FRAME_CRC, "after <%s>", err.text);
  cr_assert_not_null(strstr(err.text, "after <a frame states a length beyond the limit: first;"));
}

Test(status, the_innermost_file_stays) {
  nacre_error err;
  nc_fail_at(&err, NC_E_FRAME_SIZE, 16, NULL);
  cr_assert_eq(nc_fail_in(&err, NACRE_CORRUPT, "a/1.seg", 8192), NACRE_CORRUPT);
  nc_fail_in(&err, NACRE_CORRUPT, "b", 1);
  cr_assert_str_eq(err.file, "a/1.seg");
  cr_assert_eq(err.offset, 8208);
  nc_fail(&err, NC_E_FRAME_SIZE, NULL);
  nc_fail_in(&err, NACRE_CORRUPT, "c", 8192);
  cr_assert_eq(err.offset, NACRE_NONE);
  nc_error_clear(&err);
  cr_assert(err.status == NACRE_OK && err.id == 0 && err.offset == NACRE_NONE && err.text[0] == '\0');
}
