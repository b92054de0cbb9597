#include "data/digit_strokes.h"

namespace gridspot {
namespace {

void draw_zero(Pen& pen, KeyedDraws& draws) {
  const float radius_x = draws.uniform(0.2f, 0.4f), start = draws.around_zero(0.15f);
  const float sweep = draws.uniform(0.96f, 1.08f);
  if (draws.chance(0.6f)) {
    pen.arc({0.35f, 0.5f}, radius_x, 0.5f, start, start + (draws.chance(0.5f) ? sweep : -sweep));
  } else {  // an egg, drawn through a few points
    const float x = radius_x, lean = draws.around_zero(0.1f);
    pen.begin({0.35f + lean, 0});
    pen.curve_to({{0.35f - 0.8f * x, 0.16f},
                  {0.35f - x, 0.5f},
                  {0.35f - 0.75f * x, 0.86f},
                  {0.35f, 1.0f},
                  {0.35f + 0.8f * x, 0.84f},
                  {0.35f + x, 0.5f},
                  {0.35f + 0.75f * x, 0.14f},
                  {0.33f + lean, 0.01f}});
  }
}

void draw_one(Pen& pen, KeyedDraws& draws) {
  const bool flag = draws.chance(0.45f), base = flag && draws.chance(0.5f);
  if (flag) {
    pen.begin({0.3f - draws.uniform(0.12f, 0.3f), draws.uniform(0.12f, 0.3f)});
    pen.line_to({0.3f, 0});
    pen.line_to({0.3f, 1});
  } else {
    pen.begin({0.3f, 0});
    pen.line_to({0.3f, 1});
  }
  if (base) {
    const float half = draws.uniform(0.15f, 0.3f);
    pen.begin({0.3f - half, 1});
    pen.line_to({0.3f + half, 1});
  }
}

void draw_two(Pen& pen, KeyedDraws& draws) {
  const float end = draws.uniform(0.6f, 0.75f), drop = draws.uniform(0.1f, 0.28f);
  pen.begin({0.03f, drop});
  if (draws.chance(0.4f)) {  // a loop at the lower left
    pen.curve_to({{0.3f, 0},
                  {0.58f, 0.2f},
                  {0.45f, 0.55f},
                  {0.16f, 0.93f},
                  {0.02f, 0.92f},
                  {0.08f, 0.78f},
                  {0.3f, 0.86f},
                  {end, draws.uniform(0.9f, 1.0f)}});
  } else {
    const float corner = draws.uniform(0, 0.08f);
    pen.curve_to({{0.3f, 0}, {0.58f, draws.uniform(0.18f, 0.3f)}, {0.4f, 0.6f}, {corner, 0.97f}});
    if (draws.chance(0.7f))
      pen.line_to({end, draws.uniform(0.92f, 1.0f)});
    else
      pen.curve_to({{0.5f * end, 0.9f}, {end, 0.97f}});
  }
}

void draw_three(Pen& pen, KeyedDraws& draws) {
  const float notch = draws.uniform(0.15f, 0.36f), waist = draws.uniform(0.4f, 0.52f);
  const float bulge = draws.uniform(0.55f, 0.7f);
  if (draws.chance(0.22f)) {  // a flat top
    pen.begin({0.03f, 0.02f});
    pen.line_to({0.56f, 0.0f});
    pen.line_to({notch, waist - 0.06f});
  } else {
    pen.begin({0.04f, draws.uniform(0.06f, 0.2f)});
    pen.curve_to({{0.3f, 0}, {bulge - 0.07f, 0.2f}, {notch + 0.12f, waist - 0.04f}, {notch, waist}});
  }
  pen.curve_to({{notch + 0.17f, waist + 0.03f},
                {bulge, 0.5f * (waist + 1)},
                {0.28f, 1.0f},
                {0.0f, draws.uniform(0.82f, 0.95f)}});
}

void draw_four(Pen& pen, KeyedDraws& draws) {
  const float bar = draws.uniform(0.5f, 0.7f), stem = draws.uniform(0.42f, 0.56f), end = draws.uniform(0.62f, 0.8f);
  if (draws.chance(0.3f)) {  // closed
    pen.begin({stem, 0});
    pen.line_to({0.0f, bar});
    pen.line_to({end, bar + draws.around_zero(0.06f)});
    pen.begin({stem, 0});
    pen.line_to({stem, 1});
    return;
  }
  const float top = draws.uniform(0, 0.14f), left = draws.uniform(0.02f, 0.2f);
  pen.begin({left, top});
  if (draws.chance(0.5f)) {
    pen.line_to({0.02f, bar});
    pen.line_to({end, bar - draws.uniform(0, 0.1f)});
  } else {
    pen.curve_to({{0.04f, 0.5f * (top + bar)}, {0.06f, bar}, {0.25f, bar + 0.04f}, {end - 0.08f, bar - 0.08f}});
  }
  pen.begin({stem + draws.uniform(0, 0.12f), draws.uniform(0, 0.12f)});
  pen.line_to({stem - draws.uniform(0, 0.06f), 1});
}

void draw_five(Pen& pen, KeyedDraws& draws) {
  const float bar_end = draws.uniform(0.48f, 0.72f), left = draws.uniform(0.05f, 0.16f);
  const float shoulder = draws.uniform(0.36f, 0.46f), bulge = draws.uniform(0.52f, 0.68f);
  const float tail = draws.uniform(0.82f, 0.96f);
  if (draws.chance(0.3f)) {  // one sweep, like an S with a firm shoulder
    pen.begin({bar_end, 0});
    pen.curve_to({{0.5f * (bar_end + left), 0.02f},
                  {left, 0.08f},
                  {left - 0.02f, shoulder - 0.02f},
                  {0.35f, shoulder + 0.02f},
                  {bulge, 0.68f},
                  {0.3f, 1.0f},
                  {0, tail}});
    return;
  }
  pen.begin({left, 0.02f});
  pen.line_to({left - 0.03f, shoulder});
  pen.curve_to({{0.33f, shoulder - 0.06f}, {bulge, 0.66f}, {0.34f, 0.99f}, {0, tail}});
  pen.begin({left + (draws.chance(0.3f) ? 0.06f : 0), 0.02f});
  pen.line_to({bar_end, draws.around_zero(0.06f)});
}

void draw_six(Pen& pen, KeyedDraws& draws) {
  const float loop_top = draws.uniform(0.42f, 0.58f), width = draws.uniform(0.5f, 0.66f);
  const float middle = 0.5f * (loop_top + 1);
  pen.begin({draws.uniform(0.25f, 0.55f), 0});
  if (draws.chance(0.35f))  // a straight stem
    pen.line_to({0.04f, middle - 0.04f});
  else
    pen.curve_to({{0.16f, 0.22f}, {0.03f, 0.52f}, {0.02f, middle + 0.04f}});
  pen.curve_to({{0.1f, 0.94f},
                {0.3f, 1.0f},
                {width, middle + 0.04f},
                {0.34f, loop_top},
                {0.1f, middle - 0.03f},
                {0.06f + draws.around_zero(0.06f), middle + draws.uniform(0.02f, 0.14f)}});
}

void draw_seven(Pen& pen, KeyedDraws& draws) {
  const float right = draws.uniform(0.5f, 0.68f), foot = draws.uniform(0.1f, right - 0.18f);
  if (draws.chance(0.25f)) {  // a serif
    pen.begin({0.02f, draws.uniform(0.1f, 0.2f)});
    pen.line_to({0.0f, 0.02f});
  } else {
    pen.begin({0.0f, draws.around_zero(0.08f) + 0.04f});
  }
  if (draws.chance(0.3f)) {
    pen.curve_to({{0.25f, 0.04f},
                  {0.5f * right + 0.22f, 0.0f},
                  {right, 0.06f},
                  {0.5f * (right + foot) + 0.05f, 0.45f},
                  {foot, 1.0f}});
  } else {
    pen.line_to({right, 0.02f});
    if (draws.chance(0.5f))
      pen.line_to({foot, 1});
    else
      pen.curve_to({{0.45f * right + 0.55f * foot, 0.5f}, {foot, 1}});
  }
  if (draws.chance(0.3f)) {  // the bar across
    const float middle = 0.5f * (right + foot), half = draws.uniform(0.14f, 0.24f), y = draws.uniform(0.44f, 0.56f);
    pen.begin({middle - half, y});
    pen.line_to({middle + half, y + draws.around_zero(0.06f)});
  }
}

void draw_eight(Pen& pen, KeyedDraws& draws) {
  const float waist = draws.uniform(0.42f, 0.54f), top = draws.uniform(0.17f, 0.27f),
              bottom = draws.uniform(0.22f, 0.33f);
  if (draws.chance(0.35f)) {  // two rings
    pen.arc({0.33f, 0.5f * waist}, top, 0.5f * waist, 0.5f, 1.5f);
    pen.arc({0.33f, 0.5f * (waist + 1)}, bottom, 0.5f * (1 - waist), 0, 1);
    return;
  }
  const float open = draws.uniform(0, 0.12f);
  pen.begin({0.33f + top * 0.8f, 0.1f + open});
  pen.curve_to({{0.34f, 0},
                {0.33f - top, 0.5f * waist},
                {0.32f, waist},
                {0.33f + bottom, 0.5f * (waist + 1)},
                {0.32f, 1.0f},
                {0.33f - bottom, 0.5f * (waist + 1) + 0.02f},
                {0.34f, waist + 0.01f},
                {0.33f + top, 0.5f * waist},
                {0.33f + top * draws.uniform(0.5f, 0.85f), 0.08f}});
}

void draw_nine(Pen& pen, KeyedDraws& draws) {
  const float loop_bottom = draws.uniform(0.42f, 0.56f), right = draws.uniform(0.5f, 0.62f);
  const float middle = 0.5f * loop_bottom;
  pen.begin({right, middle - draws.uniform(0.02f, 0.12f)});
  pen.curve_to({{0.34f, draws.uniform(0, 0.04f)}, {0.04f, middle}, {0.26f, loop_bottom}, {right - 0.02f, middle}});
  const int tail = draws.below(3);
  if (tail == 0)  // straight down
    pen.line_to({right - draws.uniform(0.0f, 0.14f), 1});
  else if (tail == 1)  // curving away
    pen.curve_to({{right + 0.01f, loop_bottom + 0.1f}, {right - 0.12f, 0.82f}, {0.3f, 1.0f}});
  else  // a hook to the left
    pen.curve_to({{right + 0.02f, loop_bottom + 0.1f}, {right - 0.06f, 0.88f}, {0.26f, 1.0f}, {0.04f, 0.9f}});
}

}  // namespace

void draw_digit(int digit, Pen& pen, KeyedDraws& draws) {
  constexpr void (*digits[10])(Pen&, KeyedDraws&) = {draw_zero, draw_one, draw_two,   draw_three, draw_four,
                                                     draw_five, draw_six, draw_seven, draw_eight, draw_nine};
  digits[digit](pen, draws);
}

}  // namespace gridspot
