# gridspot_preset_texts(VARIABLE): makes a C++ file of the built-in networks, src/nn/presets/*.json, and gives its path.
function(gridspot_preset_texts variable)
  set(presets medium quick seed seed-fc small)
  set(preset_entries "")
  foreach(preset IN LISTS presets)
    set(preset_file ${PROJECT_SOURCE_DIR}/src/nn/presets/${preset}.json)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${preset_file})
    file(READ ${preset_file} preset_text)
    string(APPEND preset_entries "    {\"${preset}\", R\"json(${preset_text})json\"},\n")
  endforeach()
  list(LENGTH presets preset_count)
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/presets.cpp @ONLY CONTENT "#include \"nn/presets.h\"

namespace gridspot {

const std::array<PresetText, @preset_count@> preset_texts{{
@preset_entries@}};

}  // namespace gridspot
")
  set(${variable} ${CMAKE_CURRENT_BINARY_DIR}/presets.cpp PARENT_SCOPE)
endfunction()
