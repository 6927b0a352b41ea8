/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of file numbers against a plain array, under random puts and removals.
 */
#include <criterion/criterion.h>

#include "number_index.h"

#include "fixture.h"

enum { NUMBERS = 600, STEPS = 60000 };

Test(number_index, answers_as_an_array_does) {
  nacre_error err;
  nc_number_index index = {0};
  size_t places[NUMBERS] = {0}, place; /* 0: not there */
  test_random random = {test_seed("number_index", 1)};
  cr_assert_not(nc_number_index_find(&index, 1, &place));
  nc_number_index_remove(&index, 1);
  for (int step = 0; step < STEPS; step++) {
    uint64_t number = 1 + test_random_below(&random, NUMBERS - 1);
    if (test_random_below(&random, 2) == 0) {
      places[number] = (size_t)step + 1;
      must(nc_number_index_put(&index, number, places[number], &err));
    } else {
      places[number] = 0;
      nc_number_index_remove(&index, number);
    }
    number = 1 + test_random_below(&random, NUMBERS - 1);
    bool found = nc_number_index_find(&index, number, &place);
    cr_assert(found == (places[number] != 0) && (!found || place == places[number]), "step %d", step);
  }
  size_t there = 0;
  for (uint64_t n = 1; n < NUMBERS; n++) there += places[n] != 0;
  cr_assert_eq(index.count, there);
  nc_number_index_deinit(&index);
}
